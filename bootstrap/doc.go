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
// Envoy's own JSON: json.go parses it and knows where in the text something
// stands, conform.go holds it against the message, opaque.go carries what is
// unknown here. template.go is the key that replaces the whole. external.go and
// static_listeners.go read what somebody else may have written, scraped.go what a config says of metrics.
//
// # Where it differs from the consul command
//
// For every input the result is the same, or there is an error, or one of these
// holds. Most are cases of package parity.
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
//     port: empty hosts, names, ports beyond 65535; paths of sockets that are too
//     long; unix://a/b as a stats sink, where a would be lost.
//   - CA files without a certificate.
//   - Flush intervals that are no proto3 duration or out of Envoy's bounds.
//   - Envoy's own JSON that is not the message it stands for: fields that do not
//     exist or are given twice, values of another type or against the rules that
//     Envoy's messages carry, clusters and listeners of one name. This holds, too,
//     for what a template leaves out of the result.
//   - A service that is no proxy, looked up in the catalog, which gives every
//     service an empty proxy part.
//   - Templates that take longer than they are long: {{define}}, {{template}},
//     {{range}} over anything but the one list there is, printf with widths of
//     more than three digits, texts of more than 1 MiB. The driver renders the
//     templates of job authors, and nothing can interrupt one.
//   - By the command: flags that are wrong without being used, an empty scrape
//     path, a gateway that is registered as a sidecar.
//
// Rendered here, where the consul command's result is refused by Envoy, or there
// is none:
//   - The secrets of TLS for Prometheus once, not once for each listener.
//   - The cluster prometheus_backend beside a self_admin of the user's; in
//     general a cluster is added unless the user gave one of its name.
//   - CA certificates with CRLF line ends.
//
// Rendered on demand only, and never by the command:
//   - An overload manager, at a memory limit (Inputs.MemoryLimit).
//
// Addresses and ports are printed in their usual form (::1 for 0:0::1, 8502 for
// 08502).
package bootstrap
