// What an outcome of a record means.
const outcomes = {
  rule_denied: "no rule allows it, or one denies it",
  address_not_public: "leads to an address that is not public",
  loop: "leads to the proxy itself",
  auth_required: "credentials missing or wrong",
  name_not_found: "the name does not resolve",
  resolver_timeout: "the resolver does not answer",
  refused: "the destination refuses the connection",
  unroutable: "no route to the destination",
  timeout: "the destination does not answer in time",
  client_limit: "the client has too many tunnels, or opens them too fast",
  server_full: "the proxy is full, or about to stop",
  malformed: "the request cannot be read",
  header_too_large: "the request's header is too large",
  origin_protocol: "the destination's answer cannot be read",
  client_gone: "the client left before it was answered",
  internal: "a fault of the proxy's own",
};

export const meaning = (outcome) => outcomes[outcome] ?? "";
