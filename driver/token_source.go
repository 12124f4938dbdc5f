package driver

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

const (
	// stockIdentity is the workload identity that Nomad has for Consul, and stockAuthMethod
	// what `nomad setup consul` has it exchanged by.
	stockIdentity   = "consul_default"
	stockAuthMethod = "nomad-workloads"

	// usualToken is what Nomad writes for a task of its kind "connect-native:<service>".
	usualToken = "secrets/si_token"

	// noToken is the source in the handle of a task that has none.
	noToken = "nowhere"
)

// tokenSource is a place that a task's ACL token may come from.
type tokenSource struct {
	name     string // as sentences call it
	file     string // that is read; empty for none
	value    string // what the environment has, in place of a file
	identity string // of the workload, whose JWT is found there and exchanged for a token; else empty
	last     bool   // the job names it: no other is looked for after it
}

// tokenSources are those of a task, the first in which there is a token counts. A
// bootstrap of somebody else's brings its own token, so that no identity is exchanged for
// another unless the job says so.
func tokenSources(spec proxySpec, task *drivers.TaskConfig) []tokenSource {
	secrets := task.TaskDir().SecretsDir
	if file := spec.Consul.TokenFile; file != "" {
		return []tokenSource{{name: file, file: file, last: true}}
	}
	sources := []tokenSource{{name: usualToken, file: filepath.Join(secrets, "si_token")}}
	if name := spec.Consul.Identity; name != "" {
		return append(sources, identitySources(name, task)...)
	}
	sources = append(sources, tokenSource{name: "secrets/consul_token", file: filepath.Join(secrets, "consul_token")})
	if spec.External == "" {
		sources = append(sources, identitySources(stockIdentity, task)...)
		sources[len(sources)-1].last = false
	}
	return append(sources, tokenSource{name: api.HTTPTokenEnvName, value: task.Env[api.HTTPTokenEnvName], last: true})
}

// identitySources are where Nomad gives a task the JWT of an identity, as its block says.
func identitySources(name string, task *drivers.TaskConfig) []tokenSource {
	called := fmt.Sprintf("the workload identity %q", name)
	return []tokenSource{
		{name: called, identity: name, file: filepath.Join(task.TaskDir().SecretsDir, "nomad_"+name+".jwt")},
		{name: called, identity: name, value: task.Env["NOMAD_TOKEN_"+name], last: true},
	}
}

// findToken gives the content of the first source that has any, and its rank. None is
// no error: with ACLs, Consul's refusal says what is missing.
func findToken(sources []tokenSource, task *drivers.TaskConfig, user process.User) (rank int, content string, err error) {
	for rank, source := range sources {
		content, err := source.read(task, user)
		if err != nil || content != "" {
			return rank, content, err
		}
	}
	return len(sources), "", nil
}

// missingIdentity says that the job names an identity which is not there; nil for another
// job. A sidecar that has its token already does without.
func missingIdentity(sources []tokenSource) error {
	last := sources[len(sources)-1]
	if !last.last || last.identity == "" {
		return nil
	}
	return sidecar.Invalidf("consul.identity", "Nomad gives the task no identity %q: give it %s", last.identity, identityBlock(last.identity))
}

// identityBlock is what a job gives a task for an identity that is found again at any time.
func identityBlock(name string) string {
	return fmt.Sprintf("identity { name = %q aud = [\"consul.io\"] file = true ttl = \"1h\" }", name)
}

// read gives what there is; nothing where there is no such file, unless the job named it.
func (s tokenSource) read(task *drivers.TaskConfig, user process.User) (string, error) {
	if s.file == "" {
		return s.value, nil
	}
	content, err := readJobFile(task, s.file, user)
	switch {
	case !s.last && errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read the Consul ACL token: %w", err)
	}
	token := strings.TrimSpace(string(content))
	if token == "" {
		return "", fmt.Errorf("read the Consul ACL token: %s is empty; write a token into it, and put it there by a rename, so that nobody finds half of it", s.file)
	}
	return token, nil
}
