import java.io.FileInputStream;
import java.net.Authenticator;
import java.net.InetSocketAddress;
import java.net.PasswordAuthentication;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * Prints what each URL answers: java Fetch.java PROXYHOST PROXYPORT CAFILE URL...
 * Credentials for the proxy are those of PROXY_USER and PROXY_PASSWORD.
 */
class Fetch {
    public static void main(String[] args) throws Exception {
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        try (FileInputStream pem = new FileInputStream(args[2])) {
            trusted.setCertificateEntry("lab", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(null, trust.getTrustManagers(), null);

        HttpClient.Builder builder = HttpClient.newBuilder()
                .proxy(ProxySelector.of(InetSocketAddress.createUnresolved(args[0], Integer.parseInt(args[1]))))
                .sslContext(tls);
        String user = System.getenv("PROXY_USER");
        if (user != null) {
            char[] password = System.getenv("PROXY_PASSWORD").toCharArray();
            builder.authenticator(new Authenticator() {
                @Override
                protected PasswordAuthentication getPasswordAuthentication() {
                    return new PasswordAuthentication(user, password);
                }
            });
        }
        HttpClient client = builder.build();
        for (int i = 3; i < args.length; i++) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(args[i])).build();
            HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.print(response.body());
            if (response.statusCode() != 200) {
                System.err.println(response);
                System.exit(1);
            }
        }
    }
}
