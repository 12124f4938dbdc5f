package envoy

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strconv"

	"nomad-driver-connect/sidecar"
)

// Listeners gives the addresses where Envoy takes traffic; nil when it does not say.
func (a *Admin) Listeners(ctx context.Context) []sidecar.Address {
	body, code, err := a.get(ctx, "/listeners?format=json", maxList)
	if err != nil || code != http.StatusOK {
		return nil
	}
	return trafficListeners(body)
}

// ownListeners are those where Envoy tells of itself: to scrapers and balancers, whose
// connections never end.
var ownListeners = []string{"envoy_prometheus_metrics_listener", "envoy_metrics_listener", "envoy_ready_listener"}

// trafficListeners reads Envoy's list of listeners. Ones within Envoy have no address.
func trafficListeners(body []byte) []sidecar.Address {
	addresses := []sidecar.Address{} // nil stands for no answer
	answer := json.NewDecoder(bytes.NewReader(body))
	err := eachField(answer, func(name string) error {
		if name != "listener_statuses" {
			return skip(answer)
		}
		return eachItem(answer, func() error {
			var status listenerStatus
			err := answer.Decode(&status)
			if at := status.Local.address(); at.Address != "" && !slices.Contains(ownListeners, status.Name) {
				addresses = append(addresses, at)
			}
			return err
		})
	})
	if err != nil {
		return nil
	}
	return addresses
}

// listenerStatus is a listener as Envoy tells of it.
type listenerStatus struct {
	Name  string          `json:"name"`
	Local listenerAddress `json:"local_address"`
}

// listenerAddress is an address as Envoy tells it.
type listenerAddress struct {
	Socket struct {
		Host string `json:"address"`
		Port int    `json:"port_value"`
	} `json:"socket_address"`
	Pipe struct {
		Path string `json:"path"`
	} `json:"pipe"`
}

// address is empty for one of another kind.
func (a listenerAddress) address() sidecar.Address {
	switch {
	case a.Socket.Port != 0:
		return sidecar.Address{Network: "tcp", Address: net.JoinHostPort(a.Socket.Host, strconv.Itoa(a.Socket.Port))}
	case a.Pipe.Path != "":
		return sidecar.Address{Network: "unix", Address: a.Pipe.Path}
	}
	return sidecar.Address{}
}
