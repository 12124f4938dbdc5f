package hook

import (
	"errors"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/nomad/api"
)

var (
	// meshName is what Nomad and Consul's mesh both take for a service.
	meshName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

	variable    = regexp.MustCompile(`\$\{[a-zA-Z0-9_.-]+\}`)
	notInLabels = regexp.MustCompile(`[^A-Za-z0-9-]`)
)

// serviceName is the name that the service has in Consul, as far as it is known
// when the job is submitted.
func serviceName(job *api.Job, group string, s *api.Service) string {
	jobName := deref(job.Name)
	if jobName == "" {
		jobName = deref(job.ID)
	}
	name := s.Name
	if name == "" {
		name = jobName + "-" + group
	}
	if !strings.Contains(name, "${") {
		return name
	}
	values := map[string]*string{
		"JOB":              &jobName,
		"TASKGROUP":        &group,
		"TASK":             pointer("group"),
		"BASE":             pointer(jobName + "-" + group + "-group"),
		"NOMAD_JOB_NAME":   &jobName,
		"NOMAD_JOB_ID":     job.ID,
		"NOMAD_GROUP_NAME": &group,
		"NOMAD_NAMESPACE":  said(job.Namespace),
		"NOMAD_REGION":     said(job.Region),
	}
	fill := func(text string) string {
		return variable.ReplaceAllStringFunc(text, func(reference string) string {
			if value := values[reference[2:len(reference)-1]]; value != nil {
				return *value
			}
			return reference
		})
	}
	meta := metaOf(job, group)
	for key, value := range meta {
		meta[key] = fill(value)
	}
	for key, value := range meta {
		values[key] = &value
	}
	return fill(name)
}

// metaOf is the meta of a job's group as Nomad knows it when the job is submitted,
// by the names of variables. The group's goes before the job's, and a name as it is
// written before one in capitals.
func metaOf(job *api.Job, group string) map[string]string {
	meta := maps.Clone(job.Meta)
	for _, g := range job.TaskGroups {
		if deref(g.Name) == group {
			meta = union(meta, g.Meta)
		}
	}
	exact, capitals := map[string]string{}, map[string]string{}
	for key, value := range meta {
		exact["NOMAD_META_"+envName(key)] = value
		capitals["NOMAD_META_"+envName(strings.ToUpper(key))] = value
	}
	return union(capitals, exact)
}

// union has what either map has, and the second's where both do.
func union(first, second map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, first)
	maps.Copy(out, second)
	return out
}

func checkName(name string) error {
	switch {
	case strings.Contains(name, "${"):
		return errors.New("the name is not known before the job runs, but that of the sidecar's task must be; in it can be ${JOB}, ${TASKGROUP}, ${BASE}, ${NOMAD_JOB_NAME}, ${NOMAD_JOB_ID}, ${NOMAD_GROUP_NAME}, ${NOMAD_META_<key>} of the job's and the group's meta, and ${NOMAD_NAMESPACE} and ${NOMAD_REGION} when the job says which they are")
	case !meshName.MatchString(name):
		return errors.New("Consul's mesh takes names of lower case letters, digits and hyphens inside, 63 at most; rename the service")
	}
	return nil
}

// envName is a name as it can be in the name of a variable.
func envName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, name)
}

// labelName is a name as it can be in the label of a port.
func labelName(name string) string { return notInLabels.ReplaceAllString(name, "-") }

// unique gives the name, or else name_2, name_3 and so on, with - for _ in a name
// that has it.
func unique(name string, taken func(string) bool) string {
	separator := "_"
	if strings.Contains(name, "-") {
		separator = "-"
	}
	candidate := name
	for i := 2; taken(candidate); i++ {
		candidate = name + separator + strconv.Itoa(i)
	}
	return candidate
}

// said is a text that is not empty: Nomad puts its default in the place of one that is.
func said(text *string) *string {
	if deref(text) == "" {
		return nil
	}
	return text
}

func pointer[T any](value T) *T { return &value }
