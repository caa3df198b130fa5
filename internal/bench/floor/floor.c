/*
 * floor: the least that relaying costs. A TCP forwarder from one port to one
 * other on loopback: two blocking threads for each tunnel, each with a pipe of
 * its own, and splice(2). No handshake, rules, limits, counters, timeouts or
 * records; what a real proxy costs above this is the price of having them.
 *
 *   floor LISTEN_PORT TARGET_PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PIPE_SIZE = 1 << 20, /* fs.pipe-max-size, the largest without privilege */
	STACK_SIZE = 64 << 10,
};

struct tunnel {
	int client, origin;
	atomic_int directions; /* still under way */
};

static struct sockaddr_in target;
static pthread_attr_t small;

static void finish(struct tunnel *t)
{
	if (atomic_fetch_sub(&t->directions, 1) > 1)
		return;
	close(t->client);
	close(t->origin);
	free(t);
}

/* drain moves n bytes out of the pipe. */
static int drain(int pipe, int to, ssize_t n)
{
	while (n > 0) {
		ssize_t k = splice(pipe, NULL, to, NULL, n, SPLICE_F_MOVE);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return -1;
		n -= k;
	}
	return 0;
}

/* move splices until a side ends, then passes the end on. */
static void move(int from, int to)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) == 0) {
		/* Fails past fs.pipe-user-pages-soft: then it stays small. */
		fcntl(p[1], F_SETPIPE_SZ, PIPE_SIZE);
		for (;;) {
			ssize_t n = splice(from, NULL, p[1], NULL, PIPE_SIZE, SPLICE_F_MOVE);
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0 || drain(p[0], to, n) != 0)
				break;
		}
		close(p[0]);
		close(p[1]);
	}
	shutdown(from, SHUT_RD);
	shutdown(to, SHUT_WR);
}

static void *down(void *arg)
{
	struct tunnel *t = arg;

	move(t->origin, t->client);
	finish(t);
	return NULL;
}

/* up dials, starts the other direction, and moves its own. */
static void *up(void *arg)
{
	struct tunnel *t = arg;
	pthread_t other;
	int on = 1;

	t->origin = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(t->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(t->origin, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	atomic_store(&t->directions, 2);
	if (t->origin < 0 || connect(t->origin, (struct sockaddr *)&target, sizeof target) != 0 ||
	    pthread_create(&other, &small, down, t) != 0) {
		atomic_store(&t->directions, 1);
		finish(t);
		return NULL;
	}
	move(t->client, t->origin);
	finish(t);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in here = {.sin_family = AF_INET};
	int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc != 3) {
		fprintf(stderr, "usage: floor LISTEN_PORT TARGET_PORT\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	target = here;
	here.sin_port = htons(atoi(argv[1]));
	target.sin_port = htons(atoi(argv[2]));
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, STACK_SIZE);
	pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 4096) != 0) {
		perror("floor: listen");
		return 1;
	}
	for (;;) {
		struct tunnel *t;
		pthread_t thread;
		int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (client < 0)
			continue;
		t = malloc(sizeof *t);
		t->client = client;
		if (pthread_create(&thread, &small, up, t) != 0) {
			close(client);
			free(t);
		}
	}
}
