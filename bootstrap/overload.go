package bootstrap

import (
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	fixedheapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

const heapMonitor = "envoy.resource_monitors.fixed_heap"

// minOverloadLimit is the memory limit from which there is an overload manager.
// Envoy 1.36 needs 9 MB beside its heap, which holds 6 MB in an idle one (22 MB
// with 200 upstreams). Within less the kernel kills it before the heap comes near
// its bound, and from here on an idle one is far from refusing anything.
const minOverloadLimit = 32 << 20

// heapOf is how large a heap may be within a memory limit; the rest is for what
// Envoy has beside it.
func heapOf(limit uint64) uint64 { return limit / 5 * 4 }

// addOverloadManager keeps Envoy from being killed at its memory limit: it gives
// back what it can, then answers no further requests. A user's own stays.
func addOverloadManager(b *bootstrapv3.Bootstrap, limit uint64) error {
	if limit < minOverloadLimit || b.GetOverloadManager() != nil {
		return nil
	}
	config, err := anyOf(&fixedheapv3.FixedHeapConfig{MaxHeapSizeBytes: heapOf(limit)})
	if err != nil {
		return err
	}
	b.OverloadManager = &overloadv3.OverloadManager{
		RefreshInterval: durationpb.New(250 * time.Millisecond),
		ResourceMonitors: []*overloadv3.ResourceMonitor{{
			Name:       heapMonitor,
			ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: config},
		}},
		Actions: []*overloadv3.OverloadAction{
			atHeap(0.9, "envoy.overload_actions.shrink_heap"),
			atHeap(0.95, "envoy.overload_actions.stop_accepting_requests"),
		},
	}
	return nil
}

// atHeap is what is done when so much of the heap's bound is used.
func atHeap(share float64, action string) *overloadv3.OverloadAction {
	return &overloadv3.OverloadAction{Name: action, Triggers: []*overloadv3.Trigger{{
		Name:         heapMonitor,
		TriggerOneof: &overloadv3.Trigger_Threshold{Threshold: &overloadv3.ThresholdTrigger{Value: share}},
	}}}
}
