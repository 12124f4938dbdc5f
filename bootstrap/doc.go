// Package bootstrap turns what Consul knows of a proxy into the bootstrap that
// Envoy reads, equal to what `consul connect envoy -bootstrap` (Consul 1.22.7)
// prints for the same proxy.
//
// It is pure: values go in, a typed envoy.config.bootstrap.v3.Bootstrap comes
// out. It opens no connection, reads no environment and knows no process.
//
//	Inputs ─ parseProxyConfig ─▶ proxyConfig ─┐
//	   └──── access logs, clusters, stats ────┴─▶ Render ─▶ Marshal ─▶ JSON
//
// Read inputs.go for what is needed, bootstrap.go for how it is put together,
// then the file of the part you are after.
package bootstrap
