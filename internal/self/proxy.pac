
// What a browser asks for is the proxy's business when a name in the list is it, or
// stands for it: "*.x" for all below x, ".x" for x as well. An IPv4 network is for
// requests by address alone; no name is looked up here.
function FindProxyForURL(url, host) {
	host = host.toLowerCase().replace(/\.$/, "");
	var address = /^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$/.test(host);
	if (isOwn(host, address)) {
		return "DIRECT";
	}
	if (names === null) {
		return proxy;
	}
	for (var i = 0; i < names.length; i++) {
		if (matches(names[i], host, address)) {
			return proxy;
		}
	}
	return "DIRECT";
}

// This machine and its neighbours are not reached through another one.
function isOwn(host, address) {
	if (address) {
		return inNetwork(host, "127.0.0.0/8") || inNetwork(host, "10.0.0.0/8") || inNetwork(host, "172.16.0.0/12") ||
			inNetwork(host, "192.168.0.0/16") || inNetwork(host, "169.254.0.0/16");
	}
	if (host.indexOf(":") >= 0) {
		return /^\[?(::1|f[cd][0-9a-f]{2}:.*|fe80:.*)\]?$/.test(host);
	}
	return host.indexOf(".") < 0 || /\.(localhost|local|internal)$/.test(host);
}

function matches(pattern, host, address) {
	if (address && pattern.indexOf("/") > 0 && pattern.indexOf(":") < 0) {
		return inNetwork(host, pattern);
	}
	var below = pattern.charAt(0) === "*" ? pattern.slice(1) : pattern;
	if (below.charAt(0) !== ".") {
		return host === pattern.toLowerCase() || host === "[" + pattern.toLowerCase() + "]";
	}
	below = below.toLowerCase();
	return host.length > below.length && host.slice(-below.length) === below || below === pattern.toLowerCase() && host === below.slice(1);
}

function inNetwork(host, network) {
	var parts = network.split("/"), block = Math.pow(2, 32 - Number(parts[1]));
	return Math.floor(number(host) / block) === Math.floor(number(parts[0]) / block);
}

function number(address) {
	var n = 0, parts = address.split(".");
	for (var i = 0; i < 4; i++) {
		n = n * 256 + Number(parts[i]);
	}
	return n;
}
