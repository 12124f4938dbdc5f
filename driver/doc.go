// Package driver is the Nomad side of the project: the task driver plugin
// "connect", its configuration, and the translation of a task into a sidecar.
// Nomad's types end here.
//
//	plugin config ┐
//	task config ──┴─ decode ─ validate ─▶ sidecar.Spec ─▶ sidecar.Start
//	                                                          │
//	TaskHandle ─ decode ─ validate ─▶ sidecar.Spec ─▶ sidecar.Attach
//
// One method of Nomad's driver interface, one file. Reading order: plugin.go,
// plugin_config.go and task_config.go (what users write), task_spec.go (what
// is made of it), given.go (bootstraps of others), start.go, recover.go, stop.go,
// then sweep.go, which removes what nobody looks after.
package driver
