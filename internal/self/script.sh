# What follows is the same for every program. It is POSIX shell, and asks for no more
# than a bare Debian, Alpine, Amazon Linux or RHEL has.

fail() {
	echo "setup $client: $*" >&2
	exit 1
}

# leave cleans up, and takes back what a failure has left half done.
leave() {
	status=$?
	trap - EXIT HUP INT TERM
	if [ "$changing" = 1 ] && take_back; then
		echo "setup $client: nothing has been changed" >&2
	fi
	rm -rf "$work"
	exit "$status"
}

# locate PATH: sets target to where a file is, behind links.
locate() {
	case $1 in
	HOME/*) target=$HOME/${1#HOME/} ;;
	*) target=$root$1 ;;
	esac
	if [ -L "$target" ]; then
		target=$(readlink -f "$target") || fail "$1 is a link to nowhere: take it away"
	fi
}

# file PATH FORMAT NAMES LISTS: takes what a file has to say on standard input, and lays
# down what it will be. Settings of these names that it has already give way, but lists
# keep their entries.
file() {
	count=$((count + 1))
	locate "$1"
	echo "$target" >"$work/$count.path"
	cat >"$work/$count.want"
	if [ -e "$target" ]; then
		if [ ! -f "$target" ] || ! cat "$target" >"$work/$count.old" 2>/dev/null; then
			fail "$target cannot be read$(as_root)"
		fi
		cp "$work/$count.old" "$work/$count.was"
	else
		: >"$work/$count.old"
	fi
	edit "$2" "$3" "$4" || fail "$target: $(cat "$work/error") (nothing has been changed)"
	if [ -e "$work/$count.was" ] && cmp -s "$work/$count.was" "$work/$count.new"; then
		return
	fi
	changes=1
}

# edit FORMAT NAMES LISTS: makes the new text of file $count from the old one and what is wanted.
edit() {
	if [ "$(tr -cd '\000' <"$work/$count.old" | wc -c)" -ne 0 ]; then
		echo "it is no text: there is a zero byte in it" >"$work/error"
		return 1
	fi
	case $1 in
	own) cp "$work/$count.want" "$work/$count.new" ;;
	new)
		cp "$work/$count.want" "$work/$count.new"
		if [ -s "$work/$count.old" ] && [ "$(head -n 1 "$work/$count.old")" != "$(head -n 1 "$work/$count.want")" ]; then
			{
				echo "somebody else has written it: take it away, or put this into it by hand:"
				cat "$work/$count.want"
			} >"$work/error"
			return 1
		fi
		;;
	json) edit_json "$3" ;;
	*)
		ended=1
		if [ -s "$work/$count.old" ] && [ -n "$(tail -c 1 "$work/$count.old")" ]; then
			ended=0
		fi
		LC_ALL=C FORMAT=$1 NAMES=$2 LISTS=$3 WANT=$work/$count.want OLD=$work/$count.old ENDED=$ended \
			awk -f "$work/edit.awk" >"$work/$count.new" 2>"$work/error"
		;;
	esac
}

# edit_json LISTS: merges objects. A file that is not there needs no merging.
edit_json() {
	if cmp -s "$work/$count.old" "$work/$count.want" || ! grep -q '[^[:space:]]' "$work/$count.old"; then
		cp "$work/$count.want" "$work/$count.new"
	elif command -v python3 >/dev/null; then
		python3 "$work/merge.py" "$work/$count.old" "$work/$count.want" "$1" >"$work/$count.new" 2>"$work/error"
	elif command -v jq >/dev/null; then
		jq -s --arg lists "$1" -f "$work/merge.jq" "$work/$count.old" "$work/$count.want" >"$work/$count.new" 2>/dev/null || {
			echo "it is broken JSON, or no object: mend it first" >"$work/error"
			return 1
		}
	else
		{
			echo "to merge JSON there has to be python3 or jq. Put this into it by hand:"
			cat "$work/$count.want"
		} >"$work/error"
		return 1
	fi
}

as_root() {
	[ "$(id -u)" = 0 ] || echo ": run this as root (… | sudo sh)"
}

# show prints what would change.
show() {
	i=0
	while [ "$i" -lt "$count" ]; do
		i=$((i + 1))
		path=$(cat "$work/$i.path")
		echo "--- $path"
		if [ -e "$work/$i.was" ] && cmp -s "$work/$i.was" "$work/$i.new"; then
			continue
		fi
		if command -v diff >/dev/null; then
			diff -u "$work/$i.old" "$work/$i.new" | sed 1,2d
		else
			cat "$work/$i.new"
		fi
	done
}

# put TARGET FROM LIKE: puts a file in another's place in one step, with the rights, the
# owner and the label that it had; where there is none, with those of LIKE, if any.
put() {
	like=${3-}
	[ ! -e "$1" ] || like=$1
	if [ -n "$like" ]; then
		cp -p "$like" "$1.sluice-new" 2>/dev/null || return 1
	fi
	if ! cat "$2" >"$1.sluice-new" 2>/dev/null || ! mv -f "$1.sluice-new" "$1" 2>/dev/null; then
		rm -f "$1.sluice-new"
		return 1
	fi
	if command -v restorecon >/dev/null; then
		restorecon "$1" 2>/dev/null || :
	fi
}

# directories PATH: makes the directory of a file, and notes those that were not there.
directories() {
	dir=$(dirname "$1")
	list=
	while [ ! -d "$dir" ]; do
		list="$dir
$list"
		dir=$(dirname "$dir")
	done
	printf %s "$list" | while IFS= read -r dir; do
		mkdir "$dir" 2>/dev/null || exit 1
		echo "$dir" >>"$work/made"
	done
}

# take_back puts files back that were changed in this run. What cannot be put back is
# left to --undo, and so is what was kept.
take_back() {
	i=0 stuck=0
	while [ "$i" -lt "$count" ]; do
		i=$((i + 1))
		[ -e "$work/$i.done" ] || continue
		path=$(cat "$work/$i.path")
		if [ -e "$work/$i.was" ]; then
			put "$path" "$work/$i.was" || stuck=1
		else
			rm -f "$path" || stuck=1
		fi
	done
	unmake "$work/made"
	if [ "$stuck" = 1 ]; then
		echo "setup $client: not all could be put back; --undo tries again" >&2
		return 1
	fi
	rm -f "$state"/*.next
	if [ "$kept" = 1 ]; then
		forget
	fi
	if [ "$reloading" = 1 ]; then
		reload >/dev/null 2>&1 || :
	fi
}

# unmake FILE: removes directories that are listed in it and empty, the deepest first.
unmake() {
	[ -e "$1" ] || return 0
	sed '1!G;h;$!d' "$1" | while IFS= read -r dir; do
		rmdir "$dir" 2>/dev/null || :
	done
}

# keep notes what the files were before the first change, to undo it, and what they
# are going to be: a run that is killed is undone, or gone on with, by that.
keep() {
	if [ ! -d "$state" ]; then
		kept=1
		(umask 077 && mkdir -p "$state") 2>/dev/null || fail "$state cannot be made$(as_root)"
	fi
	if [ ! -s "$state/place" ]; then
		echo "$chosen" >"$state/place" || fail "$state cannot be written"
	fi
	before=$(cat "$state/place")
	[ "$before" = "$chosen" ] || fail "it was set up in another place before, $before: --undo first"
	i=0
	while [ "$i" -lt "$count" ]; do
		i=$((i + 1))
		path=$(cat "$work/$i.path")
		if ! known "$state/$i"; then
			rm -f "$state/$i.was"
			if [ -e "$work/$i.was" ]; then
				cp -p "$path" "$state/$i.was" || fail "$state cannot be written"
			fi
			echo "$path" >"$state/$i.path" || fail "$state cannot be written"
		fi
		(umask 077 && cat "$work/$i.new" >"$state/$i.next") || fail "$state cannot be written"
	done
}

# broken_off tells whether a run was killed before the client had read its files.
broken_off() {
	for next in "$state"/*.next; do
		[ ! -e "$next" ] || return 0
	done
	return 1
}

# known KEPT: tells whether $path is as a run has found it, left it, or was about to.
known() {
	[ -e "$1.path" ] && [ "$path" = "$(cat "$1.path")" ] || return 1
	if [ ! -e "$path" ]; then
		[ ! -e "$1.was" ]
		return
	fi
	cmp -s "$path" "$1.ours" 2>/dev/null || cmp -s "$path" "$1.next" 2>/dev/null || cmp -s "$path" "$1.was" 2>/dev/null
}

apply() {
	if [ "$changes" = 0 ] && ! broken_off; then
		echo "$client has $thing $address already"
		return
	fi
	changing=1
	keep
	i=0
	while [ "$i" -lt "$count" ]; do
		i=$((i + 1))
		path=$(cat "$work/$i.path")
		directories "$path" || fail "the directory of $path cannot be made$(as_root)"
		put "$path" "$work/$i.new" || fail "$path cannot be written; is its file system read-only, or full?$(as_root)"
		: >"$work/$i.done"
	done
	i=0
	while [ "$i" -lt "$count" ]; do
		i=$((i + 1))
		echo "wrote $(cat "$work/$i.path")"
	done
	if [ -e "$work/made" ]; then
		cat "$work/made" >>"$state/made"
	fi
	reloading=1
	reload || fail "$client does not start with $thing; see its log"
	i=0
	while [ "$i" -lt "$count" ]; do
		i=$((i + 1))
		mv -f "$state/$i.next" "$state/$i.ours" || fail "$state cannot be written"
	done
	changing=0
	check
}

# check looks whether the client shows the proxy, and gives it a moment.
check() {
	if [ -z "$verify" ]; then
		echo "$client has $thing $address"
		return
	fi
	if [ -n "$when" ]; then
		echo "$client has $thing $address; $when, this shows it: $verify"
		return
	fi
	i=0
	while ! sh -c "$verify" 2>/dev/null | grep -qF "$wanted"; do
		i=$((i + 1))
		[ $i -lt 5 ] || fail "written, but this does not show $thing: $verify (--undo takes it back)$remedy"
		sleep 1
	done
	echo "$client has $thing $address"
}

undo() {
	if [ ! -d "$state" ]; then
		echo "there is nothing to undo for $client"
		return
	fi
	chosen=$(cat "$state/place" 2>/dev/null)
	for note in "$state"/*.path; do
		[ -e "$note" ] || continue
		path=$(cat "$note")
		if [ -e "$path" ] && ! known "${note%.path}"; then
			fail "$path was changed since: take $thing out by hand, and then remove $state"
		fi
	done
	for note in "$state"/*.path; do
		[ -e "$note" ] || continue
		path=$(cat "$note")
		was=${note%.path}.was
		if [ "$dry" = 1 ]; then
			echo "would put back $path"
		elif [ -e "$was" ]; then
			put "$path" "$was" "$was" || fail "$path cannot be written$(as_root)"
			echo "put back $path"
		else
			rm -f "$path" 2>/dev/null || fail "$path cannot be removed$(as_root)"
			echo "removed $path"
		fi
	done
	[ "$dry" = 0 ] || return 0
	unmake "$state/made"
	reload || fail "$client does not start; see its log"
	forget
}

forget() {
	rm -rf "$state"
	rmdir "$(dirname "$state")" 2>/dev/null || :
}

# choose finds the place that this host has, or takes the one that was asked for.
choose() {
	chosen=
	for p in $places; do
		if has "$p"; then
			chosen=$p
			return
		fi
	done
	[ -n "$asked" ] || fail "there is no $client here that this script knows (looked for: $places)"
	fail "the place $asked is not here (there may be: $all_places)"
}

usage() {
	cat <<EOF_USAGE
$command [--undo] [--dry-run] [--place NAME]

  --undo        put everything back as it was
  --dry-run     change nothing, and show what would be
  --place NAME  one of: $all_places

UNDO=1, DRY_RUN=1 and PLACE=NAME in the environment do the same.
EOF_USAGE
}

main() {
	asked=${PLACE-} dry=0 back=0
	[ -z "${DRY_RUN-}" ] || dry=1
	[ -z "${UNDO-}" ] || back=1
	while [ $# -gt 0 ]; do
		case $1 in
		--undo) back=1 ;;
		--dry-run) dry=1 ;;
		--place)
			[ $# -gt 1 ] || fail "--place needs a name: $all_places"
			shift
			asked=$1
			;;
		--place=*) asked=${1#--place=} ;;
		-h | --help)
			usage
			exit 0
			;;
		*) fail "there is no option $1: --undo, --dry-run or --place NAME" ;;
		esac
		shift
	done
	root=${SLUICE_SETUP_ROOT-}
	: "${HOME:=/root}"
	if [ "$(id -u)" = 0 ]; then
		state=$root/var/lib/$keep/$client
	else
		state=$HOME/.local/state/$keep/$client
	fi
	count=0 changes=0 changing=0 reloading=0 kept=0
	work=$(mktemp -d) || fail "there is no place for temporary files"
	trap leave EXIT
	trap 'exit 1' HUP INT TERM
	if [ $back = 1 ]; then
		undo
		exit 0
	fi
	if [ -n "$asked" ]; then
		places=$asked
	fi
	choose
	programs
	files
	if [ $dry = 1 ]; then
		show
	else
		apply
	fi
	exit 0
}
