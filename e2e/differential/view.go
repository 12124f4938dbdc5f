package differential

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// View is a job as names and values. Zeros and what is empty are left out, as
// Nomad fills them in. A sidecar has the same names in both ways: what the one has
// in the connect block is in the config of the other's task.
func View(job *api.Job) map[string]string {
	view := view{}
	for _, g := range job.TaskGroups {
		if g.Scaling != nil {
			g.Scaling.ID = ""
		}
		for _, s := range g.Services {
			if s.Connect != nil && s.Connect.SidecarService != nil {
				view.add("sidecar["+s.Name+"]", plain(sidecarOf(s.Connect.SidecarService)))
				s.Connect = nil // with sidecar_task, which the server has put over the task
			}
		}
		for _, t := range g.Tasks {
			if block, ok := t.Config["sidecar_service"]; ok {
				view.add(fmt.Sprintf("sidecar[%v]", t.Config["service"]), block)
				view.add(fmt.Sprintf("sidecar[%v]", t.Config["service"]), "there")
				delete(t.Config, "sidecar_service")
			}
		}
		for _, n := range g.Networks {
			for _, port := range slices.Concat(n.ReservedPorts, n.DynamicPorts) {
				view.add("port["+port.Label+"]", map[string]any{"": "there", "static": port.Value, "to": port.To, "host_network": port.HostNetwork, "ignore_collision": port.IgnoreCollision})
			}
			n.ReservedPorts, n.DynamicPorts = nil, nil
		}
	}
	view.add("", plain(job))
	return view
}

// plain is a value as it is in JSON, with numbers as they are written.
func plain(value any) (out any) {
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&out); err != nil {
		return err.Error()
	}
	return out
}

// ofTheServer are what it counts and stamps.
var ofTheServer = []string{"CreateIndex", "ModifyIndex", "JobModifyIndex", "SubmitTime", "Version", "Status", "StatusDescription", "Stable", "VersionTag"}

// sidecarOf is the block in the words of job files, as the driver's config has it.
func sidecarOf(s *api.ConsulSidecarService) map[string]any {
	block := map[string]any{"": "there", "port": s.Port, "tags": s.Tags, "meta": s.Meta, "disable_default_tcp_check": s.DisableDefaultTCPCheck}
	p := s.Proxy
	if p == nil {
		return block
	}
	var paths, upstreams []any
	for _, expose := range []*api.ConsulExposeConfig{p.Expose, p.ExposeConfig} {
		if expose == nil {
			continue
		}
		for _, path := range slices.Concat(expose.Paths, expose.Path) {
			paths = append(paths, map[string]any{"path": path.Path, "protocol": path.Protocol, "local_path_port": path.LocalPathPort, "listener_port": path.ListenerPort})
		}
	}
	for _, u := range p.Upstreams {
		upstreams = append(upstreams, upstreamOf(u))
	}
	block["proxy"] = map[string]any{
		"local_service_address": p.LocalServiceAddress, "local_service_port": p.LocalServicePort, "config": p.Config,
		"expose": map[string]any{"path": paths}, "upstreams": upstreams,
		"transparent_proxy": p.TransparentProxy != nil,
	}
	return block
}

func upstreamOf(u *api.ConsulUpstream) map[string]any {
	block := map[string]any{
		"destination_name": u.DestinationName, "destination_type": u.DestinationType, "destination_namespace": u.DestinationNamespace,
		"destination_partition": u.DestinationPartition, "destination_peer": u.DestinationPeer, "datacenter": u.Datacenter,
		"local_bind_address": u.LocalBindAddress, "local_bind_port": u.LocalBindPort,
		"local_bind_socket_path": u.LocalBindSocketPath, "local_bind_socket_mode": u.LocalBindSocketMode, "config": u.Config,
	}
	if u.MeshGateway != nil {
		block["mesh_gateway"] = map[string]any{"mode": u.MeshGateway.Mode}
	}
	return block
}

type view map[string]string

// add puts a value in, part by part.
func (v view) add(name string, value any) {
	switch of := value.(type) {
	case map[string]any:
		for key, part := range of {
			if !slices.Contains(ofTheServer, key) {
				v.add(join(name, key), part)
			}
		}
	case []any:
		if block, ok := onlyBlock(of); ok {
			v.add(name, block)
			return
		}
		for i, part := range of {
			key, rest := keyOf(part, i)
			v.add(fmt.Sprintf("%s[%s]", name, key), rest)
		}
	default:
		if text := fmt.Sprint(value); !slices.Contains([]string{"", "0", "false", "<nil>"}, text) {
			v[name] = text
		}
	}
}

// onlyBlock is the block that HCL gives as a list of it.
func onlyBlock(list []any) (map[string]any, bool) {
	if len(list) != 1 {
		return nil, false
	}
	block, ok := list[0].(map[string]any)
	if key, _ := keyOf(list[0], 0); key != "0" {
		return nil, false
	}
	return block, ok
}

func join(name, key string) string {
	if name == "" || key == "" {
		return name + key
	}
	return name + "." + key
}

// keyOf is what an entry of a list is known by, in whatever order.
func keyOf(entry any, i int) (string, any) {
	fields, ok := entry.(map[string]any)
	if !ok {
		return fmt.Sprint(i), entry
	}
	if operand, ok := fields["Operand"]; ok {
		return strings.TrimSpace(fmt.Sprintf("%v %v %v", fields["LTarget"], operand, fields["RTarget"])), "there"
	}
	for _, field := range []string{"Name", "path", "destination_name"} {
		if name, ok := fields[field].(string); ok && name != "" {
			return name, entry
		}
	}
	return fmt.Sprint(i), entry
}
