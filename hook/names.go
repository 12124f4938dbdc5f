package hook

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/nomad/api"
)

var (
	// meshName is what Nomad and Consul's mesh both take for a service.
	meshName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

	variable    = regexp.MustCompile(`\$\{[a-zA-Z0-9_.-]+\}`)
	notInEnv    = regexp.MustCompile(`[^A-Za-z0-9_]`)
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
	values := map[string]*string{
		"JOB":              &jobName,
		"TASKGROUP":        &group,
		"TASK":             pointer("group"),
		"BASE":             pointer(jobName + "-" + group + "-group"),
		"NOMAD_JOB_NAME":   &jobName,
		"NOMAD_JOB_ID":     job.ID,
		"NOMAD_GROUP_NAME": &group,
		"NOMAD_NAMESPACE":  job.Namespace,
		"NOMAD_REGION":     job.Region,
	}
	return variable.ReplaceAllStringFunc(name, func(reference string) string {
		if value := values[reference[2:len(reference)-1]]; value != nil {
			return *value
		}
		return reference
	})
}

func checkName(name string) error {
	switch {
	case strings.Contains(name, "${"):
		return errors.New("the name is not known before the job runs, but that of the sidecar's task must be; in it can be ${JOB}, ${TASKGROUP}, ${BASE}, and ${NOMAD_JOB_NAME}, ${NOMAD_JOB_ID}, ${NOMAD_GROUP_NAME}, and ${NOMAD_NAMESPACE} and ${NOMAD_REGION} when the job says which they are")
	case !meshName.MatchString(name):
		return errors.New("Consul's mesh takes names of lower case letters, digits and hyphens inside, 63 at most; rename the service")
	}
	return nil
}

// envName is a name as it can be in the name of a variable.
func envName(name string) string { return notInEnv.ReplaceAllString(name, "_") }

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

func pointer[T any](value T) *T { return &value }
