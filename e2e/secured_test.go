package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// secured is a cluster whose Consul allows nothing without a token, and whose API talks to
// nobody without a certificate; Nomad's identities are set up by its own command.
type secured struct {
	*mesh
	ca *authority
}

// setUpIdentities does what an operator does once.
func setUpIdentities(t *testing.T, c *agents.Cluster, manager string) {
	t.Helper()
	setup := exec.CommandContext(t.Context(), filepath.Join(*tools, "nomad"), "setup", "consul", "-y", "-jwks-url", "http://"+c.Nomad.HTTP+"/.well-known/jwks.json")
	setup.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+c.Consul.HTTP, "CONSUL_HTTP_TOKEN="+manager, "NOMAD_ADDR=http://"+c.Nomad.HTTP)
	out, err := setup.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
}

func newSecured(t *testing.T) *secured {
	t.Helper()
	const manager = "2f6f1c8e-7a35-4d0e-b7a1-90c4d2e6f803"
	ca := newAuthority(t, t.TempDir())
	must.NoError(t, os.Chmod(ca.dir, 0o755))
	ca.write(t, "ca.pem", ca.pem)
	ca.issue(t, "cert.pem", "key.pem", "server.dc1.consul", time.Hour)
	ca.issue(t, "client.pem", "client-key.pem", "client", time.Hour)
	c := newCluster(t, agents.Options{Identities: true, Consul: agents.ConsulOptions{Token: manager, TLS: ca.dir}})
	t.Cleanup(func() {
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	setUpIdentities(t, c, manager)
	s := &secured{mesh: &mesh{Cluster: c, t: t}, ca: ca}
	s.bindClient()
	_, _, err := c.Consul.Client.ConfigEntries().Set(&consul.ServiceIntentionsConfigEntry{
		Kind: consul.ServiceIntentions, Name: "*", Sources: []*consul.SourceIntention{{Name: "*", Action: consul.IntentionActionAllow}},
	}, nil)
	must.NoError(t, err)
	return s
}

// shortLife is how long the tokens live for which the client logs in. It is the least
// that Consul takes.
const shortLife = time.Minute

// bindClient lets the client, which has no service of its own in Nomad, have the rights of
// one: by a method of its own, whose tokens end soon.
func (s *secured) bindClient() {
	s.t.Helper()
	acl := s.Consul.Client.ACL()
	method, _, err := acl.AuthMethodRead("nomad-workloads", nil)
	must.NoError(s.t, err)
	method.Name, method.MaxTokenTTL = "mesh", shortLife
	_, _, err = acl.AuthMethodCreate(method, nil)
	must.NoError(s.t, err)
	_, _, err = acl.BindingRuleCreate(&consul.ACLBindingRule{
		AuthMethod: "mesh", BindType: consul.BindingRuleBindTypeService, BindName: "echo-client",
		Selector: `value.nomad_job_id == "echo" and value.nomad_task == "connect-proxy-client"`,
	}, nil)
	must.NoError(s.t, err)
}

// runEcho runs the example: its server with the token that Nomad gives by the task's kind,
// its client with one that it logs in for.
func (s *secured) runEcho() {
	s.t.Helper()
	hcl, err := os.ReadFile(echoJob)
	must.NoError(s.t, err)
	const driver = `driver       = "connect"`
	server, client, ok := strings.Cut(string(hcl), `group "client"`)
	must.True(s.t, ok)
	const config = "      config {\n"
	server = strings.Replace(server, driver, driver+"\n kind = \"connect-native:echo\"", 1)
	client = strings.Replace(client, driver, driver+"\n identity {\n name = \"mesh\"\n aud = [\"consul.io\"]\n file = true\n ttl = \"1h\"\n}", 1)
	at := strings.LastIndex(client, config) + len(config)
	client = client[:at] + "consul {\n identity = \"mesh\"\n auth_method = \"mesh\"\n}\n" + quickDrain + "\n" + client[at:]
	at = strings.LastIndex(server, config) + len(config)
	server = server[:at] + quickDrain + "\n" + server[at:]
	_, err = s.Nomad.Run(s.t.Context(), server+`group "client"`+client)
	must.NoError(s.t, err)
	must.NoError(s.t, s.Nomad.AwaitDeployment(s.t.Context(), "echo"))
	s.refresh()
	s.addr, err = agents.Port(s.client, "up_echo")
	must.NoError(s.t, err)
	eventually(s.t, 20*time.Second, s.bothAnswer)
}

// undisturbed has something happen while the client opens connections, of which none fails.
func (s *secured) undisturbed(name string, do func(since time.Time)) {
	s.t.Helper()
	ask := func(ctx context.Context, n int) error {
		_, err := s.say(ctx, fmt.Sprint("line ", n))
		return err
	}
	report := measured(s.t, ask, gentleRate, name, func() { do(time.Now()) })
	must.Eq(s.t, 0, report.Failed, must.Sprintf("%s; first: %v", report, report.FirstFailure))
	s.t.Logf("%s: %s", name, report)
}

// gentleRate is in connections a second, for each of which the example's app starts three
// processes.
const gentleRate = 20

// logins are the tokens that a method has given and that are there still, by accessor.
func (s *secured) logins(ctx context.Context, method string) ([]string, error) {
	tokens, _, err := s.Consul.Client.ACL().TokenList((&consul.QueryOptions{}).WithContext(ctx))
	var found []string
	for _, token := range tokens {
		if token.AuthMethod == method {
			found = append(found, token.AccessorID)
		}
	}
	return found, err
}

// secrets is the directory of a task's secrets.
func (s *secured) secrets(alloc *api.Allocation, task string) string {
	return filepath.Join(s.Dir, "nomad/data/alloc", alloc.ID, task, "secrets")
}

// With a Consul that allows nothing by default and wants certificates, and Nomad's own
// identities, the examples run. Tokens that are revoked, replaced or end, certificates
// and CAs that are replaced, and a restart of Consul after all that are noticed by nobody.
func TestSecured(t *testing.T) {
	s := newSecured(t)
	t.Run("count", func(t *testing.T) {
		defer tellStory(t, s.Cluster, "count")
		c := &count{Cluster: s.Cluster}
		c.run(t, "hook", "1")
		c.serves(t)
		must.NoError(t, s.PurgeJobs(t.Context()))
		nothingLeft(t, s.Cluster)
	})
	t.Run("calculator", func(t *testing.T) {
		c := &calculator{Cluster: s.Cluster}
		c.starts(t, func() string { return c.script(t, "start_all_jobs.sh -w native") })
		c.script(t, "stop_all_jobs.sh")
		nothingLeft(t, s.Cluster)
	})
	t.Run("echo", s.echo)
}

// echo is what becomes of tokens and certificates.
func (s *secured) echo(t *testing.T) {
	s.t = t
	defer tellStory(t, s.Cluster, "echo")
	s.runEcho()
	const server, client = "connect-proxy-echo", "connect-proxy-client"
	awaitEvent(t, s.Cluster, s.servers[0], server, time.Time{}, "of secrets/si_token")
	awaitEvent(t, s.Cluster, s.client, client, time.Time{}, `of the workload identity "mesh", which ends in `)

	s.undisturbed("an ACL token that is deleted", func(since time.Time) {
		tokens, err := s.logins(t.Context(), "mesh")
		must.NoError(t, err)
		for _, accessor := range tokens {
			_, err := s.Consul.Client.ACL().TokenDelete(accessor, nil)
			must.NoError(t, err)
		}
		awaitEvent(t, s.Cluster, s.client, client, since, `of the workload identity "mesh" any more: it was deleted, or has ended`)
		t.Logf("heard of after %s", time.Since(since).Round(100*time.Millisecond))
		awaitEvent(t, s.Cluster, s.client, client, since, "(its token has changed): Envoy")
		t.Logf("another in place after %s", time.Since(since).Round(100*time.Millisecond))
	})
	s.undisturbed("an ACL token that is replaced", func(since time.Time) {
		token, _, err := s.Consul.Client.ACL().TokenCreate(&consul.ACLToken{ServiceIdentities: []*consul.ACLServiceIdentity{{ServiceName: "echo"}}}, nil)
		must.NoError(t, err)
		for _, alloc := range s.servers {
			path := filepath.Join(s.secrets(alloc, server), "si_token")
			must.NoError(t, os.WriteFile(path+".new", []byte(token.SecretID), 0o600))
			must.NoError(t, os.Rename(path+".new", path))
		}
		for _, alloc := range s.servers {
			awaitEvent(t, s.Cluster, alloc, server, since, token.AccessorID+" of secrets/si_token")
			awaitEvent(t, s.Cluster, alloc, server, since, "(its token has changed): Envoy")
		}
		t.Logf("another in place after %s", time.Since(since).Round(100*time.Millisecond))
	})
	s.undisturbed("an ACL token that ends", func(since time.Time) {
		eventually(t, shortLife, func(ctx context.Context) error {
			now, _, err := s.Nomad.Client.Allocations().Info(s.client.ID, (&api.QueryOptions{}).WithContext(ctx))
			if err == nil && !strings.Contains(strings.Join(agents.EventsSince(now, client, since), "\n"), "(its token has changed): Envoy") {
				err = errors.New("there was no hot restart")
			}
			return err
		})
	})
	s.undisturbed("a client certificate and a CA that are replaced", func(since time.Time) {
		s.ca.issue(t, "client.pem", "client-key.pem", "client", time.Hour)
		other := newAuthority(t, s.ca.dir)
		s.ca.write(t, "ca.pem", append(s.ca.pem, other.pem...))
		for _, alloc := range s.servers {
			awaitEvent(t, s.Cluster, alloc, server, since, "(its bootstrap has changed): Envoy")
		}
		awaitEvent(t, s.Cluster, s.client, client, since, "(its bootstrap has changed): Envoy")
	})
	s.undisturbed("Consul's agent restarted after that", func(time.Time) {
		must.NoError(t, s.Consul.Snapshot(t.Context()))
		must.NoError(t, s.Consul.Stop())
		must.NoError(t, s.Consul.Start())
		must.NoError(t, s.Consul.Await(t.Context()))
		eventually(t, 30*time.Second, func(ctx context.Context) error {
			healthy, err := s.Consul.Healthy(ctx)
			if err == nil && len(healthy) != 3 {
				err = fmt.Errorf("healthy sidecars: %v", healthy)
			}
			return err
		})
	})
	s.reboots(server)
	must.NoError(t, s.PurgeJobs(t.Context()))
	nothingLeft(t, s.Cluster)
	eventually(t, shortLife, func(ctx context.Context) error {
		left, err := s.logins(ctx, "mesh")
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("the tokens %v are left", left)
		}
		return err
	})
}

// reboots has the machine restarted: what lay in memory is gone. Who cannot have a token
// again gives its allocation up for another one, and who can log in stays.
func (s *secured) reboots(server string) {
	s.t.Helper()
	servers := s.servers
	must.NoError(s.t, s.PowerOff(s.t.Context()))
	back, err := agents.NextBoot(s.Dir)
	must.NoError(s.t, err)
	s.t.Cleanup(func() { // before the cluster is closed
		if err := back(); err != nil {
			s.t.Error(err)
		}
	})
	must.NoError(s.t, s.Consul.Start())
	must.NoError(s.t, s.Consul.Await(s.t.Context()))
	must.NoError(s.t, s.Nomad.Start())
	for _, alloc := range servers {
		awaitEvent(s.t, s.Cluster, alloc, server, time.Time{}, "secrets/si_token: is gone since the machine was restarted")
	}
	eventually(s.t, 2*time.Minute, func(ctx context.Context) error {
		running, err := s.Nomad.Running(ctx, "echo", "server")
		if err == nil && len(running) != 2 {
			err = fmt.Errorf("%d servers run", len(running))
		}
		return errors.Join(err, s.bothAnswer(ctx))
	})
}
