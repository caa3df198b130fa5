package forward

// flaw is what is wrong with a message: a sentence about "the request" or "the
// answer". It never repeats what was sent, for it is told to the client.
type flaw string

func (f flaw) Error() string { return string(f) }

const (
	flawBareLF      flaw = "a line ends in a bare LF instead of CR LF"
	flawEmptyLine   flaw = "an empty line stands in front"
	flawControl     flaw = "a header value has a control character or a bare CR"
	flawTLS         flaw = "this port speaks plain HTTP and the client began with TLS; the proxy's URL must begin with http://"
	flawSOCKS       flaw = "this port speaks HTTP and the client began with SOCKS"
	flawNoHTTP      flaw = "it does not begin with an HTTP method"
	flawHTTP2       flaw = "this proxy speaks HTTP/1.1, and the client began with HTTP/2"
	flawHTTP09      flaw = "the request line is not method, target and HTTP version"
	flawMethod      flaw = "the method is not a token"
	flawTargetChars flaw = "the target has a space or a control character"
	flawVersion     flaw = "the version is neither HTTP/1.1 nor HTTP/1.0"
	flawStatusLine  flaw = "the status line cannot be read"
	flawFold        flaw = "a header line begins with white space"
	flawNoColon     flaw = "a header line has no colon"
	flawName        flaw = "a header name is not a token or has a space before its colon"
	flawLookalike   flaw = "a header name is spelled so that some read it as Host, Content-Length or Transfer-Encoding"
	flawLength      flaw = "Content-Length is not one number"
	flawLengths     flaw = "there is more than one Content-Length"
	flawCoding      flaw = "Transfer-Encoding is not just chunked"
	flawCoding10    flaw = "Transfer-Encoding is not part of HTTP/1.0"
	flawBoth        flaw = "there are both Content-Length and Transfer-Encoding"
	flawHosts       flaw = "there is more than one Host"
	flawHost        flaw = "Host is not a host and a port"
	flawNoHost      flaw = "Host is missing"
	flawConnection  flaw = "Connection is not a list of tokens"
	flawNominated   flaw = "Connection names a header that is not a matter of the connection"
	flawOptions     flaw = "Connection names too many headers"
	flawCredentials flaw = "there is more than one Proxy-Authorization"
	flawForwards    flaw = "Max-Forwards is not one number"
	flawConnectBody flaw = "CONNECT has no body"
	flawTraceBody   flaw = "TRACE has no body"
	flawSelfBody    flaw = "what is asked of the proxy itself has no body"

	flawOriginForm flaw = "this is a forward proxy and not a web server; set it as the client's HTTP proxy"
	flawAsterisk   flaw = "this is a forward proxy; a target of * asks for nothing that it has"
	flawHTTPS      flaw = "an https:// target is asked for by CONNECT"
	flawScheme     flaw = "only http:// targets can be asked for, and everything else by CONNECT"
	flawAuthority  flaw = "CONNECT needs a host and a port, as in example.com:443"
	flawUserinfo   flaw = "the target has a user or a password in it"
	flawEscape     flaw = "the host has a percent sign in it"
	flawBracket    flaw = "the host has brackets that hold no IPv6 address"
	flawHostChars  flaw = "the host has characters that no host name has"
	flawPort       flaw = "the port is not a number from 1 to 65535"
	flawNoHostName flaw = "the host is empty"
	flawFragment   flaw = "the target has a fragment"

	flawChunkSize  flaw = "a chunk's size cannot be read"
	flawChunkEnd   flaw = "a chunk does not end where it should"
	flawChunkExt   flaw = "a chunk's extension cannot be read or is too long"
	flawTrailer    flaw = "the trailer section is too long"
	flawInterim    flaw = "there is no end of interim answers"
	flawSwitch     flaw = "it switches to another protocol, which nobody asked for"
	flawAnswerSize flaw = "its head is too large"
)
