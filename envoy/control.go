package envoy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"nomad-driver-connect/sidecar"
)

// Control implements sidecar.Control over the admin API.
type Control struct {
	api atomic.Pointer[api]
	log func() []byte // the end of Envoy's log

	logAt func() string // the command that shows all of it
}

// api is how Envoy is asked, and what it is to hear.
type api struct {
	*Admin
	needs Needs
	where string // the management server, for sentences
}

func newControl(now api) *Control {
	c := &Control{log: func() []byte { return nil }, logAt: func() string { return "nomad alloc fs" }}
	c.api.Store(&now)
	return c
}

// asks says where the management server is.
func (c *Control) asks(where string) {
	now := *c.api.Load()
	now.where = where
	c.api.Store(&now)
}

// Progress implements sidecar.Control.
func (c *Control) Progress(ctx context.Context, epoch int) (sidecar.Progress, error) {
	api := c.api.Load()
	p, err := api.Progress(ctx)
	if err != nil {
		return sidecar.Progress{}, err
	}
	from := ManagementServer{Name: "Consul", Where: api.where}
	if p.Refused() {
		from.Refusal = cmp.Or(c.refusal(ctx, p), "the reason is shown by `"+c.logAt()+"`")
		if err := ctx.Err(); err != nil { // Envoy had no time to say it
			return sidecar.Progress{}, err
		}
	}
	return sidecar.Progress{Missing: p.Missing(epoch, api.needs, from), TookOver: p.TookOver(epoch)}, nil
}

// refusal is Envoy's reason: it tells of clusters in its log alone.
func (c *Control) refusal(ctx context.Context, p Progress) string {
	if p.Clusters == 0 && p.ClustersRefused > 0 {
		return loggedRefusal(c.log(), "cluster")
	}
	return cmp.Or(c.api.Load().Refusals(ctx), loggedRefusal(c.log(), "listener"))
}

// Waits implements sidecar.Control.
func (c *Control) Waits(ctx context.Context) string { return c.api.Load().Warming(ctx) }

// Version implements sidecar.Control.
func (c *Control) Version(ctx context.Context) string { return c.api.Load().Version(ctx) }

// Alive implements sidecar.Control.
func (c *Control) Alive(ctx context.Context) error {
	err := c.api.Load().Ping(ctx)
	if AdminClosed(err) {
		return errors.Join(sidecar.ErrClosed, err)
	}
	return err
}

// Leaving implements sidecar.Control.
func (c *Control) Leaving(ctx context.Context, yes bool) error {
	path := "/healthcheck/ok"
	if yes {
		path = "/healthcheck/fail"
	}
	err := c.api.Load().Post(ctx, path)
	if AdminClosed(err) {
		return errors.Join(sidecar.ErrClosed, err)
	}
	return err
}

// Refuse implements sidecar.Control.
func (c *Control) Refuse(ctx context.Context, peersOnly bool) error {
	if peersOnly { // Consul calls the public listener inbound
		return c.api.Load().Post(ctx, "/drain_listeners?inboundonly")
	}
	return c.api.Load().Post(ctx, "/drain_listeners")
}

// Listeners implements sidecar.Control.
func (c *Control) Listeners(ctx context.Context) []sidecar.Address {
	return c.api.Load().Listeners(ctx)
}

// Open implements sidecar.Control, by Envoy's statistics. The error is that of a
// listener that it does not count: it has another name there (stat_prefix), or a
// user has left the statistic out.
func (c *Control) Open(ctx context.Context, listeners []sidecar.Address) (int, error) {
	var names []string
	for _, listener := range listeners {
		names = append(names, openStat(listener.Address))
	}
	stats, err := c.api.Load().stats(ctx, "^("+strings.Join(quoteMetas(names), "|")+")$")
	if err != nil {
		return 0, err
	}
	open := 0
	for _, name := range names {
		n, ok := stats[name]
		if !ok {
			return 0, fmt.Errorf("Envoy has no statistic %s", name)
		}
		open += n
	}
	return open, nil
}

// openStat is the statistic of the connections that are open on a listener, as
// Envoy calls it by its address: colons would part its name.
func openStat(listener string) string {
	return "listener." + strings.ReplaceAll(listener, ":", "_") + ".downstream_cx_active"
}

func quoteMetas(names []string) []string {
	quoted := make([]string, 0, len(names))
	for _, name := range names {
		quoted = append(quoted, regexp.QuoteMeta(name))
	}
	return quoted
}

// Remark implements sidecar.Control: upstreams that lead nowhere yet.
func (c *Control) Remark(ctx context.Context, at sidecar.Place) string {
	if len(at.Upstreams) == 0 {
		return ""
	}
	unknown := withoutHosts(at.Upstreams, c.api.Load().Hosts(ctx))
	if len(unknown) == 0 {
		return ""
	}
	return "; Consul knows no healthy instance yet of the upstreams " + quoteAll(unknown)
}

// withoutHosts are those of the destinations of which Consul knows no instance, by
// the hosts of Envoy's clusters. (A cluster is called "<service>.<namespace>.…"; one
// that a resolver leads elsewhere has another name, and is not judged.)
func withoutHosts(destinations []string, clusters map[string]int) []string {
	var unknown []string
	for _, destination := range destinations {
		found, hosts := false, 0
		for name, n := range clusters {
			if strings.HasPrefix(name, destination+".") {
				found, hosts = true, hosts+n
			}
		}
		if found && hosts == 0 {
			unknown = append(unknown, destination)
		}
	}
	return unknown
}

// quoteAll lists names for a sentence: sorted and quoted.
func quoteAll(names []string) string {
	quoted := make([]string, 0, len(names))
	for _, n := range slices.Sorted(slices.Values(names)) {
		quoted = append(quoted, strconv.Quote(n))
	}
	return strings.Join(quoted, ", ")
}

// stats asks for those whose names match a pattern.
func (a *Admin) stats(ctx context.Context, pattern string) (map[string]int, error) {
	body, code, err := a.get(ctx, "/stats?filter="+url.QueryEscape(pattern), maxList)
	if err == nil && code != http.StatusOK {
		err = refused(body, code)
	}
	if err != nil {
		return nil, err
	}
	return parseStats(body), nil
}
