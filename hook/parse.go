package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/nomad/api"
	"github.com/hashicorp/nomad/jobspec2"
)

// Source is a job as it is written.
type Source struct {
	Path     string // for errors
	Body     []byte
	JSON     bool     // never HCL, whatever it looks like
	Vars     []string // "name=value", as of nomad's -var
	VarFiles []string
	Env      []string // "name=value"; NOMAD_VAR_name sets a variable
}

// Parse reads a job as nomad does: HCL in either of its syntaxes, or the JSON of
// Nomad's API.
func Parse(source Source) (*api.Job, error) {
	if body := bytes.TrimSpace(source.Body); source.JSON || isObject(body) {
		if source.Body = body; source.JSON || !isHCL(body) {
			return parseJSON(source)
		}
	}
	job, err := jobspec2.ParseWithConfig(&jobspec2.ParseConfig{
		Path:     source.Path,
		BaseDir:  ".", // as nomad's commands: relative paths begin where one works
		Body:     source.Body,
		AllowFS:  true,
		ArgVars:  source.Vars,
		VarFiles: source.VarFiles,
		Envs:     source.Env,
		Strict:   true,
	})
	if err != nil {
		return nil, fmt.Errorf("read the job %s:\n%w", source.Path, err)
	}
	return job, nil
}

// parseJSON takes a job with and without {"Job": …} around it. A field that is
// unknown would not be in what comes out, so it is refused.
func parseJSON(source Source) (*api.Job, error) {
	if len(source.Vars) > 0 || len(source.VarFiles) > 0 {
		return nil, errors.New("a job in JSON has no variables; leave out -var and -var-file")
	}
	var around struct{ Job json.RawMessage }
	body := source.Body
	if err := json.Unmarshal(body, &around); err != nil {
		return nil, fmt.Errorf("read the job %s as JSON: %w", source.Path, err)
	}
	if len(around.Job) > 0 {
		body = around.Job
	}
	var job *api.Job
	if err := decodeJSON(body, &job); err != nil {
		return nil, fmt.Errorf("read the job %s as JSON of Nomad's API: %w", source.Path, err)
	}
	if job == nil {
		return nil, fmt.Errorf("read the job %s as JSON: it is null", source.Path)
	}
	if job.ID == nil && job.Name == nil && len(job.TaskGroups) == 0 {
		return nil, fmt.Errorf("read the job %s as JSON: there is no job in it; nomad job run -output prints one", source.Path)
	}
	return job, nil
}

// isHCL tells the JSON of HCL from that of Nomad's API: in it "job" has blocks by
// their names, and in the API it has fields, some of which are texts.
func isHCL(body []byte) bool {
	var top map[string]json.RawMessage
	return json.Unmarshal(body, &top) == nil && hasOnlyBlocks(top["job"])
}

func hasOnlyBlocks(text json.RawMessage) bool {
	var list []json.RawMessage
	if json.Unmarshal(text, &list) == nil && len(list) > 0 {
		return !slices.ContainsFunc(list, func(one json.RawMessage) bool { return !hasOnlyBlocks(one) })
	}
	var blocks map[string]json.RawMessage
	if json.Unmarshal(text, &blocks) != nil {
		return false
	}
	for _, block := range blocks {
		if !isObject(block) && !bytes.HasPrefix(block, []byte("[")) {
			return false
		}
	}
	return len(blocks) > 0
}

func isObject(text []byte) bool { return bytes.HasPrefix(text, []byte("{")) }
