package differential

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

// notInFiles are fields that a job file cannot have, or that mean another thing.
var notInFiles = map[string]string{
	"name":           "a label of the block, where it is one",
	"advertise":      "of Nomad's own services",
	"cidr":           "filled in by Nomad",
	"ip":             "filled in by Nomad",
	"device":         "filled in by Nomad",
	"mbits":          "not heeded any more",
	"reserved_ports": "ports with static",
}

// The jobs have every field of what they are about.
func TestJobs_everyField(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, job := range Jobs() {
		all.WriteString(job.Host())
	}
	text := all.String()
	for _, block := range []any{
		api.Service{}, api.ServiceCheck{}, api.CheckRestart{}, api.ServiceWeights{}, api.ConsulConnect{}, api.ConsulSidecarService{}, api.ConsulProxy{}, api.ConsulExposePath{},
		api.ConsulUpstream{}, api.SidecarTask{}, api.NetworkResource{}, api.Port{}, api.DNSConfig{}, api.UpdateStrategy{},
	} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(block)) {
			name, _, _ := strings.Cut(field.Tag.Get("hcl"), ",")
			if name == "" || notInFiles[name] != "" {
				continue
			}
			used := regexp.MustCompile(`(?m)^\s*` + name + `\b`).MatchString(text)
			if !used {
				t.Errorf("no job has %s of %T", name, block)
			}
		}
	}
}

// A name tells a job.
func TestJobs_names(t *testing.T) {
	t.Parallel()
	var names []string
	for _, job := range Jobs() {
		names = append(names, job.Name)
	}
	slices.Sort(names)
	must.Eq(t, len(Jobs()), len(slices.Compact(names)))
}

func TestDifference_matches(t *testing.T) {
	t.Parallel()
	row := Difference{Name: "port[*].to", Native: "*", Ours: "-"}
	must.True(t, row.matches("port[http].to", "8080", ""))
	must.False(t, row.matches("port[http].to", "8080", "80"))
	must.False(t, row.matches("port[http].static", "8080", ""))
}
