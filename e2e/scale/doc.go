// Package scale runs the built driver with a thousand sidecars on one node, and
// counts what that costs. Nomad is not there: a thousand tasks would have more of
// Nomad's processes than of ours. In its place a test starts the plugin as Nomad's
// agent does and calls it by the same RPCs; Envoys and Consul are fakes, or real
// ones.
package scale
