package envoy

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// configDump is the part of GET /config_dump that tells what became of what
// the management server sent.
type configDump struct {
	Configs []struct {
		Listeners       []dumped `json:"dynamic_listeners"`
		ActiveClusters  []dumped `json:"dynamic_active_clusters"`
		WarmingClusters []dumped `json:"dynamic_warming_clusters"`
	} `json:"configs"`
}

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
func (a *Admin) Refusals(ctx context.Context) string { return a.configDump(ctx).refusals() }

// Warming names the clusters and listeners that wait for something, "a, b", empty
// when Envoy names none. It is a text for people, of some 300 bytes at most.
func (a *Admin) Warming(ctx context.Context) string { return a.configDump(ctx).warming() }

func (a *Admin) configDump(ctx context.Context) configDump {
	var dump configDump
	if body, code, err := a.get(ctx, "/config_dump"); err == nil && code == http.StatusOK {
		_ = json.Unmarshal(body, &dump) // what is not understood says nothing
	}
	return dump
}

func (d configDump) refusals() string {
	var details []string
	for _, config := range d.Configs {
		for _, list := range [][]dumped{config.Listeners, config.ActiveClusters, config.WarmingClusters} {
			for _, item := range list {
				if item.ErrorState.Details != "" {
					details = append(details, item.ErrorState.Details)
				}
			}
		}
	}
	return truncate(strings.Join(details, "; "))
}

func (d configDump) warming() string {
	var names []string
	for _, config := range d.Configs {
		for _, cluster := range config.WarmingClusters {
			names = append(names, cluster.Cluster.Name)
		}
		for _, listener := range config.Listeners {
			if listener.WarmingState != nil {
				names = append(names, listener.Name)
			}
		}
	}
	return truncate(strings.Join(names, ", "))
}

// Hosts gives for each cluster, by its name, how many hosts it has; nil when Envoy
// does not say.
func (a *Admin) Hosts(ctx context.Context) map[string]int {
	body, code, err := a.get(ctx, "/clusters?format=json")
	var clusters struct {
		Statuses []struct {
			Name  string            `json:"name"`
			Hosts []json.RawMessage `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err != nil || code != http.StatusOK || json.Unmarshal(body, &clusters) != nil {
		return nil
	}
	hosts := make(map[string]int)
	for _, cluster := range clusters.Statuses {
		hosts[cluster.Name] += len(cluster.Hosts)
	}
	return hosts
}
