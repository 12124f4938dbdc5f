// Package driver is the Nomad side of the project: the task driver plugin
// "connect", its configuration, and the translation of a task into a proxy. Nomad's
// types end here, and so do kinds of task.
//
//	plugin config ┐
//	task config ──┴─ decode ─ kindOf ─▶ proxySpec ─ wire ─▶ Member, Program ─▶ sidecar.Start
//	                                        ▲
//	TaskHandle ─ decode ────────────────────┘ ─────────────────────────────▶ sidecar.Attach
//
// A kind of task is a row in kinds.go, which says by data what plays the two roles of
// a proxy (state.go); wire.go makes objects of the data.
//
// One method of Nomad's driver interface, one file. Reading order: plugin.go,
// plugin_config.go and task_config.go (what users write), allow.go and users.go (what of
// it is a job's to say), kinds.go, task_spec.go and socket_dirs.go
// (what is made of it), external.go (bootstraps of others), node_meta.go, metrics.go and
// scrape_ports.go (what the node and the mesh ask of all), wire.go, start.go, recover.go,
// stop.go, changed.go (what lies on the node and may change), token_source.go and
// token_keeper.go (the ACL token of a task, from where it is found to where it is given
// back), then leaving.go, sweep.go and machine.go, which remove what is left behind, of an
// earlier boot, too.
package driver
