package hook

import (
	"bytes"
	"fmt"

	"github.com/aymanbagabas/go-udiff"
	"github.com/hashicorp/nomad/api"
	"go.yaml.in/yaml/v3"
)

// Diff shows what differs between two jobs, in the words of job files. It is
// empty when nothing does.
func Diff(name string, before, after *api.Job) (string, error) {
	old, err := readable(before)
	if err != nil {
		return "", err
	}
	now, err := readable(after)
	if err != nil {
		return "", err
	}
	return udiff.Unified(name, name+" after hook", old, now), nil
}

// readable is a job as YAML, without all that it does not say.
func readable(job *api.Job) (string, error) { return text(nodeOf(job)) }

func text(node *yaml.Node) (string, error) {
	if node == nil {
		return "", nil
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return "", fmt.Errorf("write the job as YAML: %w", err)
	}
	return out.String(), nil
}
