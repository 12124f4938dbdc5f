package hook

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"
)

// driverKeys are the keys of this driver's config; what is true of them comes
// from the rest of the connect block.
var driverKeys = map[string]bool{
	"service": false, "service_port": false, "consul": false, "envoy": false, "ready": false, "drain": false, "node_meta": false,
	"sidecar_service": true, "gateway": true, "bootstrap": true,
}

// override puts what sidecar_task says over the task, field by field.
func (s *service) override(with *api.SidecarTask) error {
	if with == nil {
		return nil
	}
	config, err := s.ownConfig(with)
	if err != nil {
		return err
	}
	if closed := closedFields(with.User, config); len(closed) > 0 {
		s.warn("closed-field", fmt.Sprintf("sidecar_task has %s, which is the operator's to say", strings.Join(closed, ", ")),
			"remove it, or have it opened by allow {} in the plugin's config")
	}
	t := s.task
	maps.Copy(t.Config, config)
	set(&t.Name, with.Name)
	set(&t.User, with.User)
	set(&t.KillSignal, with.KillSignal)
	if deref(with.KillTimeout) != nomadsKillTimeout {
		set(&t.KillTimeout, with.KillTimeout)
	}
	set(&t.ShutdownDelay, deref(with.ShutdownDelay))
	if len(with.Env) > 0 {
		t.Env = maps.Clone(with.Env)
	}
	if len(with.Meta) > 0 {
		t.Meta = maps.Clone(with.Meta)
	}
	if len(with.VolumeMounts) > 0 {
		t.VolumeMounts = with.VolumeMounts
	}
	if len(with.Identities) > 0 {
		t.Identities = with.Identities
	}
	logs, resources := asNomad(with)
	overrideLogs(t.LogConfig, logs)
	overrideResources(t.Resources, resources)
	return nil
}

// nomadsKillTimeout is that of a task which says nothing. Nobody can tell it from
// one that is said once Nomad's UI or its parser has written it out, and it is
// short for a drain.
const nomadsKillTimeout = 5 * time.Second

// asNomad are the blocks with what they leave out as Nomad gives it, the same
// whether or not a client has done that already: what the UI plans is what the
// command has run.
func asNomad(with *api.SidecarTask) (*api.LogConfig, *api.Resources) {
	logs, resources := with.LogConfig, with.Resources
	if logs == nil {
		logs = api.DefaultLogConfig()
	}
	if resources == nil {
		resources = api.DefaultResources()
	}
	logs.Canonicalize()
	resources.Canonicalize()
	return logs, resources
}

// ownConfig is the part of sidecar_task.config that is for this driver. One that
// is for another cannot mean anything to it.
func (s *service) ownConfig(with *api.SidecarTask) (map[string]any, error) {
	if driver := otherDriver(with); driver != "" {
		if len(with.Config) > 0 {
			s.warn("sidecar-config-left-out", fmt.Sprintf("the config of sidecar_task is left out: it is for driver %q, and the task has driver \"connect\"", driver), "remove it when nothing else needs it")
		}
		return nil, nil
	}
	config := maps.Clone(with.Config)
	if isDropIn(config["bootstrap"]) {
		delete(config, "bootstrap")
	}
	for _, key := range slices.Sorted(maps.Keys(config)) {
		switch fromStanza, known := driverKeys[key]; {
		case !known:
			return nil, s.refuse("sidecar_task.config has %q, which driver \"connect\" does not know (it knows %s); if it is for Docker, say so with driver = \"docker\", and it is left out; else remove it", key, userKeys())
		case fromStanza:
			return nil, s.refuse("sidecar_task.config has %q, which comes from the connect block; say it there", key)
		}
	}
	return config, nil
}

// otherDriver is the one that the block is for when it is not this one: Nomad's own
// sidecars are Docker's where a job says nothing.
func otherDriver(with *api.SidecarTask) string {
	if with.Driver != "" && with.Driver != driverName {
		return with.Driver
	}
	for key := range with.Config {
		if _, known := driverKeys[key]; known || with.Driver == driverName {
			return ""
		}
	}
	if len(with.Config) > 0 {
		return "docker"
	}
	return ""
}

// closedFields are those that are the operator's until it opens them.
func closedFields(user string, config map[string]any) (found []string) {
	if user != "" {
		found = append(found, "user")
	}
	for _, field := range []string{"consul.address", "envoy.args", "envoy.path", "envoy.user"} {
		block, key, _ := strings.Cut(field, ".")
		if hasKey(config[block], key) {
			found = append(found, "config."+field)
		}
	}
	return found
}

// hasKey knows a block in the shapes of HCL and of JSON.
func hasKey(block any, key string) bool {
	switch b := block.(type) {
	case map[string]any:
		return b[key] != nil
	case []map[string]any:
		return slices.ContainsFunc(b, func(one map[string]any) bool { return one[key] != nil })
	case []any:
		return slices.ContainsFunc(b, func(one any) bool { return hasKey(one, key) })
	}
	return false
}

// isDropIn knows the block by which a job says, for bridge mode, that Nomad writes
// the bootstrap: bootstrap {}.
func isDropIn(block any) bool {
	switch b := block.(type) {
	case map[string]any:
		return len(b) == 0
	case []map[string]any:
		return len(b) == 1 && len(b[0]) == 0
	case []any:
		return len(b) == 1 && isDropIn(b[0])
	}
	return false
}

// userKeys are the keys that a job's author may give.
func userKeys() string {
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(driverKeys)), func(key string) bool { return driverKeys[key] })
	return strings.Join(keys, ", ")
}

func overrideLogs(logs, with *api.LogConfig) {
	if with == nil {
		return
	}
	set(&logs.MaxFiles, with.MaxFiles)
	set(&logs.MaxFileSizeMB, with.MaxFileSizeMB)
	set(&logs.Enabled, with.Enabled)
	set(&logs.Disabled, with.Disabled)
}

func overrideResources(r, with *api.Resources) {
	if with == nil {
		return
	}
	if deref(with.Cores) > 0 {
		r.CPU = nil // a task has either
	}
	r.Merge(with)
	set(&r.Cores, with.Cores)
	set(&r.MemoryMaxMB, with.MemoryMaxMB)
	set(&r.IOPS, with.IOPS)
}

// set takes a value over that is not zero.
func set[T comparable](field *T, value T) {
	var zero T
	if value != zero {
		*field = value
	}
}
