package fake

import (
	"maps"
	"net/http"
	"slices"

	"github.com/hashicorp/consul/api"
)

// mergeParameter asks the catalog for what the config entries say of proxies, too.
const mergeParameter = "merge-central-config"

// nodeServices is the catalog's list of a node's services. Consul says of a node
// that it does not know, or does not show, that it has none.
func (c *Consul) nodeServices(w http.ResponseWriter, r *http.Request) {
	c.blocking(w, r, c.serviceTable, func() (any, error) {
		if r.PathValue("node") != Node {
			return api.CatalogNodeServiceList{Services: []*api.AgentService{}}, nil
		}
		fits, err := filterOf(r)
		if err != nil {
			return nil, err
		}
		list := api.CatalogNodeServiceList{
			Node:     &api.Node{ID: c.nodeID, Node: Node, Address: "127.0.0.1", Datacenter: Datacenter, CreateIndex: c.created, ModifyIndex: c.created},
			Services: []*api.AgentService{},
		}
		for _, id := range slices.Sorted(maps.Keys(c.services)) {
			svc := agentService(c.services[id])
			if r.URL.Query().Has(mergeParameter) {
				svc = c.merged(svc)
			}
			if fit, err := fits(svc); err == nil && fit {
				list.Services = append(list.Services, svc)
			}
		}
		return list, nil
	})
}

// nodeHealth is the catalog's list of a node's checks.
func (c *Consul) nodeHealth(w http.ResponseWriter, r *http.Request) {
	c.blocking(w, r, c.checkTable, func() (any, error) {
		found := api.HealthChecks{}
		if r.PathValue("node") != Node {
			return found, nil
		}
		fits, err := filterOf(r)
		if err != nil {
			return nil, err
		}
		for _, id := range slices.Sorted(maps.Keys(c.checks)) {
			chk := healthCheck(c.checks[id], c.services[c.checks[id].ServiceID])
			if fit, err := fits(chk); err == nil && fit {
				found = append(found, chk)
			}
		}
		return found, nil
	})
}
