// Package bootstrap turns what Consul knows of a proxy into the bootstrap that
// Envoy reads, equal to what `consul connect envoy -bootstrap` (Consul 1.22.7)
// prints for the same proxy.
//
// It is pure: values go in, a typed envoy.config.bootstrap.v3.Bootstrap comes
// out. It opens no connection, reads no environment and knows no process.
//
//	Inputs ─ parseProxyConfig ─▶ proxyConfig ─┐
//	   └─ clusters, listeners, sinks, stats ──┴─▶ Render ─▶ Marshal ─▶ JSON
//
// Read inputs.go for what is needed, bootstrap.go for how it is put together,
// then the file of the part you are after. hatch.go reads the keys that hold
// Envoy's own JSON (json.go says where in a text something stands); template.go
// is the key that replaces the whole.
//
// # Where it differs from the consul command
//
// For every input the result is the same, or there is an error, or one of these
// holds. Package parity shows each in a case.
//
// Refused here, with a sentence, where the consul command prints what Envoy
// refuses or what nobody asked for:
//   - Quotes, backslashes and control characters in names, tags, tokens, paths
//     and addresses: the consul command pastes texts into JSON, where they end
//     the string or mean another character. So does a text that closes its list
//     and goes on.
//   - A "%" in a token: Envoy takes it for a command in a header's value.
//   - The key "-" of Proxy.Config, which sets the readiness listener by an
//     accident of a decoder; keys that differ in case only, of which it takes
//     any one.
//   - ${X} in the address of a stats sink, for any X but HOST_IP, and variables
//     that are not set.
//   - Addresses to listen on or to send stats to that are no IP address with a
//     port: empty hosts, names, ports beyond 65535.
//   - unix://a/b as a stats sink, where a would be lost.
//   - Flush intervals that are no proto3 duration or out of Envoy's bounds.
//   - Envoy's own JSON that is not the message it stands for: fields that do not
//     exist or are given twice, other types, lists for objects, names that are
//     taken, values against the rules that Envoy's messages carry.
//   - A service that is no proxy, looked up in the catalog, which gives every
//     service an empty proxy part; an empty scrape path.
//
// Rendered here, where the consul command's result is refused by Envoy, or there
// is none:
//   - The secrets of TLS for Prometheus once, not once for each listener.
//   - The cluster prometheus_backend beside a self_admin of the user's; in
//     general a cluster is added unless the user gave one of its name.
//   - CA certificates with CRLF line ends.
package bootstrap
