package fake

import (
	"fmt"
	"maps"
	"net/http"

	"github.com/hashicorp/consul/api"
)

// SetCentral sets what config entries say of the config of all proxies; nil for
// nothing. What a proxy says itself goes before.
func (c *Consul) SetCentral(config map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.central = config
	c.change(c.serviceTable)
}

// SetProxyDefaults sets the config entry itself; nil removes it. What it says of
// proxies' config is SetCentral's.
func (c *Consul) SetProxyDefaults(entry *api.ProxyConfigEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults = entry
	if entry != nil {
		c.defaults = copyOf(entry)
		c.defaults.Kind, c.defaults.Name = api.ProxyDefaults, api.ProxyConfigGlobal
	}
	c.change(c.configTable)
}

// merged adds the central configuration to a proxy.
func (c *Consul) merged(svc *api.AgentService) *api.AgentService {
	if c.central == nil || svc.Proxy == nil {
		return svc
	}
	config := maps.Clone(c.central)
	for key, value := range svc.Proxy.Config {
		if _, has := config[key]; value != "" || !has { // Consul takes an empty text for nothing
			config[key] = value
		}
	}
	proxy := *svc.Proxy
	proxy.Config = config
	with := *svc
	with.Proxy = &proxy
	return &with
}

func (c *Consul) listProxyDefaults(w http.ResponseWriter, r *http.Request) {
	c.blocking(w, r, c.configTable, func() (any, error) {
		if c.defaults == nil {
			return []api.ConfigEntry{}, nil
		}
		return []api.ConfigEntry{c.defaults}, nil
	})
}

func (c *Consul) readProxyDefaults(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defaults := c.defaults
	c.mu.Unlock()
	if r.PathValue("name") != api.ProxyConfigGlobal || defaults == nil {
		http.Error(w, fmt.Sprintf("Config entry not found for %q / %q", api.ProxyDefaults, r.PathValue("name")), http.StatusNotFound)
		return
	}
	answer(w, defaults)
}
