package bootstrap

import (
	"fmt"
	"slices"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"
)

// staticResources begins with the cluster of the Consul agent, then has the
// user's, then those that this package adds.
func staticResources(in Inputs, cfg proxyConfig) (*bootstrapv3.Bootstrap_StaticResources, error) {
	agent, err := localAgent(in.Agent)
	if err != nil {
		return nil, err
	}
	r := &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{agent}}
	if cfg.extraClusters != "" {
		extra, err := readList(cfg.extraClusters, func() *clusterv3.Cluster { return &clusterv3.Cluster{} })
		if err != nil {
			return nil, underKey(keyExtraClusters, err)
		}
		r.Clusters = append(r.Clusters, extra...)
		if err := distinct(r.Clusters); err != nil {
			return nil, underKey(keyExtraClusters, err)
		}
	}
	if cfg.extraListeners != "" {
		if r.Listeners, err = readList(cfg.extraListeners, func() *listenerv3.Listener { return &listenerv3.Listener{} }); err != nil {
			return nil, underKey(keyExtraListeners, err)
		}
	}
	exposed, err := exposures(in, cfg)
	if err != nil {
		return nil, err
	}
	for _, e := range exposed {
		listener, err := e.listener(in.Prometheus)
		if err != nil {
			return nil, err
		}
		r.Clusters = withCluster(r.Clusters, e.cluster)
		r.Listeners = append(r.Listeners, listener)
	}
	if len(exposed) > 0 && in.Prometheus.tls() {
		r.Secrets = in.Prometheus.secrets()
	}
	return r, underKey(keyExtraListeners, distinct(r.Listeners))
}

// distinct refuses two resources of one name: Envoy refuses two clusters, and
// of two listeners it leaves out one without a word.
func distinct[R interface{ GetName() string }](resources []R) error {
	seen := map[string]bool{}
	for _, r := range resources {
		if name := r.GetName(); name != "" && seen[name] {
			return fmt.Errorf("there are two of the name %q", name)
		}
		seen[r.GetName()] = true
	}
	return nil
}

// withCluster adds a cluster unless the user gave one of that name.
func withCluster(clusters []*clusterv3.Cluster, c *clusterv3.Cluster) []*clusterv3.Cluster {
	if slices.ContainsFunc(clusters, func(known *clusterv3.Cluster) bool { return known.GetName() == c.GetName() }) {
		return clusters
	}
	return append(clusters, proto.CloneOf(c))
}
