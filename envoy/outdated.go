package envoy

import (
	"encoding/json"
	"fmt"
	"reflect"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// Outdated implements sidecar.Program: the bootstrap is not what would be rendered
// now, or the binary is not the one at the path. Both are asked of the process
// itself, so nothing has to be remembered.
func (p *program) Outdated(running *process.Process, next *sidecar.Launch) (sidecar.Reason, error) {
	content, err := runningBootstrap(running.ID)
	if err != nil {
		return sidecar.Reason{}, err
	}
	if reason, err := bootstrapChange(content, next.Config); err != nil || reason.Why != "" {
		return reason, err
	}
	if replaced, err := binaryReplaced(running.ID, next.Path); err != nil {
		return sidecar.Reason{}, err
	} else if replaced {
		return sidecar.Reason{Why: fmt.Sprintf("the binary %s has changed", next.Path)}, nil
	}
	return sidecar.Reason{}, nil
}

// bootstrapChange compares what two bootstraps say, not how. What Envoy is known to
// its management server by must be right at once: that refuses it else.
func bootstrapChange(running, next []byte) (sidecar.Reason, error) {
	x, err := parseBootstrap(running)
	if err != nil {
		return sidecar.Reason{}, err
	}
	y, err := parseBootstrap(next)
	switch {
	case err != nil:
		return sidecar.Reason{}, err
	case reflect.DeepEqual(x, y):
		return sidecar.Reason{}, nil
	case nodeID(x) != nodeID(y):
		return sidecar.Reason{Why: "its ID in the mesh has changed", Pressing: true}, nil
	case bootstrap.Token(running) != bootstrap.Token(next):
		return sidecar.Reason{Why: "its token has changed", Pressing: true}, nil
	}
	return sidecar.Reason{Why: "its bootstrap has changed"}, nil
}

func parseBootstrap(content []byte) (map[string]any, error) {
	var parsed map[string]any
	if err := json.Unmarshal(content, &parsed); err != nil {
		return nil, fmt.Errorf("compare bootstraps: %w", err)
	}
	return parsed, nil
}

// nodeID is what an Envoy calls itself; nil when it does not.
func nodeID(parsed map[string]any) any {
	node, _ := parsed["node"].(map[string]any)
	return node["id"]
}
