package envoy

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// configDump is the part of GET /config_dump that tells what became of what
// the management server sent.
type configDump struct {
	refusals []string // Envoy's reasons
	warming  []string // names of what waits
}

// dumped is a listener or a cluster.
type dumped struct {
	Name         string    `json:"name"`
	WarmingState *struct{} `json:"warming_state"`
	Cluster      struct {
		Name string `json:"name"`
	} `json:"cluster"`
	ErrorState struct {
		Details string `json:"details"`
	} `json:"error_state"`
}

// Refusals is Envoy's complaints about what its management server sent, empty when it
// says none. It is a text for people, of some 300 bytes at most.
func (a *Admin) Refusals(ctx context.Context) string {
	return truncate(strings.Join(a.configDump(ctx).refusals, "; "))
}

// Warming names the clusters and listeners that wait for something, "a, b", empty
// when Envoy names none. It is a text for people, of some 300 bytes at most.
func (a *Admin) Warming(ctx context.Context) string {
	return truncate(strings.Join(a.configDump(ctx).warming, ", "))
}

// configDump is what Envoy says as far as it is understood.
func (a *Admin) configDump(ctx context.Context) configDump {
	var dump configDump
	_ = a.stream(ctx, "/config_dump", dump.read)
	return dump
}

// stream reads an answer as it comes. What is behind its bound is not there.
func (a *Admin) stream(ctx context.Context, path string, read func(*json.Decoder) error) error {
	resp, err := a.request(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return refused(nil, resp.StatusCode)
	}
	return read(json.NewDecoder(io.LimitReader(resp.Body, maxDump)))
}

func (d *configDump) read(answer *json.Decoder) error {
	return eachField(answer, func(name string) error {
		if name != "configs" {
			return skip(answer)
		}
		return eachItem(answer, func() error {
			return eachField(answer, func(list string) error { return d.readList(answer, list) })
		})
	})
}

func (d *configDump) readList(answer *json.Decoder, list string) error {
	switch list {
	case "dynamic_listeners", "dynamic_active_clusters", "dynamic_warming_clusters":
	default:
		return skip(answer)
	}
	return eachItem(answer, func() error {
		var item dumped
		if err := answer.Decode(&item); err != nil {
			return err
		}
		d.take(list, item)
		return nil
	})
}

func (d *configDump) take(list string, item dumped) {
	d.refusals = noted(d.refusals, item.ErrorState.Details)
	switch {
	case list == "dynamic_warming_clusters":
		d.warming = noted(d.warming, item.Cluster.Name)
	case list == "dynamic_listeners" && item.WarmingState != nil:
		d.warming = noted(d.warming, item.Name)
	}
}

// noted adds what a text for people has room for.
func noted(texts []string, text string) []string {
	const enough = 100
	if text == "" || len(texts) == enough {
		return texts
	}
	return append(texts, strings.Clone(truncate(text)))
}

// Hosts gives for each cluster, by its name, how many hosts it has; nil when Envoy
// does not say.
func (a *Admin) Hosts(ctx context.Context) map[string]int {
	hosts := make(map[string]int)
	if a.stream(ctx, "/clusters?format=json", func(answer *json.Decoder) error { return readHosts(answer, hosts) }) != nil {
		return nil
	}
	return hosts
}

func readHosts(answer *json.Decoder, hosts map[string]int) error {
	return eachField(answer, func(name string) error {
		if name != "cluster_statuses" {
			return skip(answer)
		}
		return eachItem(answer, func() error {
			var cluster struct {
				Name  string     `json:"name"`
				Hosts []struct{} `json:"host_statuses"` // which take no room
			}
			err := answer.Decode(&cluster)
			hosts[cluster.Name] += len(cluster.Hosts)
			return err
		})
	})
}
