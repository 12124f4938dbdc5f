package envoy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// Rendered is an Envoy whose bootstrap we render.
type Rendered struct {
	program
	Source
}

// Source is where the parts of a bootstrap come from.
type Source struct {
	// Agent says where Envoy finds its management server, and what is worth
	// telling of how that was chosen.
	Agent func(ctx context.Context) (agent bootstrap.Agent, note string, err error)

	// Inputs completes in with what Consul knows of the proxy, and the token.
	Inputs func(ctx context.Context, proxyID string, in bootstrap.Inputs) (bootstrap.Inputs, error)

	// Found hears what listeners an Envoy has that was found again; nil for nobody.
	Found func([]sidecar.StaticListener)

	// Keys are those of the job's own proxy.config, as it spells them: a mistake in
	// one of them is the job's.
	Keys []string
}

// NewRendered makes the program.
func NewRendered(w World, source Source) *Rendered {
	return &Rendered{program: newProgram(w), Source: source}
}

// Preflight implements sidecar.Program.
func (r *Rendered) Preflight(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.program.Preflight(ctx) })
	group.Go(func() error {
		_, _, err := r.Agent(ctx)
		return err
	})
	return group.Wait()
}

// Recover implements sidecar.Program.
func (r *Rendered) Recover(running *process.Process) {
	if _, err := r.recover(running); err != nil {
		r.Emit("Found Envoy again, but not what it was started with: " + err.Error())
	} else if r.Found != nil {
		r.Found(r.Listeners(running))
	}
}

// Next implements sidecar.Program. The first generation's own JSON of Envoy's is
// checked by Envoy; of those that follow, all is.
func (r *Rendered) Next(ctx context.Context, at sidecar.Place, epoch int) (*sidecar.Launch, error) {
	settings, err := r.Settings()
	if err != nil {
		return nil, err
	}
	agent, note, err := r.Agent(ctx)
	if err != nil {
		return nil, err
	}
	in, err := r.Inputs(ctx, at.ID, bootstrap.Inputs{
		Agent:       agent,
		Admin:       bootstrap.Admin{Socket: adminSocket},
		Env:         bootstrap.Environ(r.Run.Env),
		MemoryLimit: uint64(max(r.Run.Cgroup.Limits.Memory, 0)),
	})
	if err != nil {
		return nil, err
	}
	message, err := bootstrap.Render(in)
	if err != nil {
		return nil, r.renderError(err)
	}
	content, err := bootstrap.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("render the bootstrap: %w", err)
	}
	r.control.asks("the Consul agent at " + agent.String())
	listeners := staticListeners(content, func(name string) sidecar.StaticListener { return r.says(name, in.Proxy.Proxy.Config) })
	with := start{content: content, listeners: listeners, files: entryFiles(in)}
	if epoch == 0 { // else Consul has had the Envoy before listen there
		with.listeners = slices.Concat(listeners, exposedByEntries(in, at))
	}
	next, err := r.launch(settings, with, epoch)
	if err != nil || epoch > 0 {
		return next, err
	}
	if note != "" {
		note = " (" + note + ")"
	}
	r.Emit(fmt.Sprintf("Rendered the bootstrap, xDS from %s%s%s", agent, note, tellListeners(listeners)))
	return next, r.judge(ctx, next, bootstrap.HatchKeys(in.Proxy.Proxy.Config))
}

// judge lets Envoy say what it makes of its own JSON, before it is started with
// it.
func (r *Rendered) judge(ctx context.Context, next *sidecar.Launch, hatches []string) error {
	if len(hatches) == 0 {
		return nil
	}
	err := next.Check(ctx)
	var refused *RefusedError
	if !errors.As(err, &refused) {
		return err
	}
	var own []string
	for _, hatch := range hatches {
		if key, ok := r.ownKey(hatch); ok {
			own = append(own, key)
		}
	}
	if len(own) == len(hatches) {
		return sidecar.Invalidf("sidecar_service.proxy.config."+strings.Join(own, ", "), "Envoy refuses the bootstrap with it: %s", refused.Complaint)
	}
	return fmt.Errorf("Envoy refuses the bootstrap with %s, which Consul's config entries have a part in: %s", quoteAll(hatches), refused.Complaint)
}

// renderError tells a key of the job's own proxy.config from one that came from
// a config entry.
func (r *Rendered) renderError(err error) error {
	var wrong *bootstrap.KeyError
	if errors.As(err, &wrong) {
		if key, ok := r.ownKey(wrong.Key); ok {
			return sidecar.Invalidf("sidecar_service.proxy.config."+key, "%v", wrong.Err)
		}
	}
	return fmt.Errorf("render the bootstrap: %w", err)
}

// ownKey gives a key of the bootstrap as the job spells it, when it does.
func (r *Rendered) ownKey(key string) (string, bool) {
	at := slices.IndexFunc(r.Keys, func(own string) bool { return strings.EqualFold(own, key) })
	if at < 0 {
		return "", false
	}
	return r.Keys[at], true
}

// Keys are those of a proxy.config.
func Keys(config map[string]any) []string { return slices.Sorted(maps.Keys(config)) }
