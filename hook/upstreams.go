package hook

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/nomad/api"
)

const maxPort = 65535

// binding is where the apps of a group find an upstream: on a port or a socket.
type binding struct {
	service     *service
	destination string
	address     string // of the port
	number      int    // zero when the scheduler chooses
	label       string
	socket      string
}

func (b *binding) String() string {
	return fmt.Sprintf("upstream %q of service %q", b.destination, b.service.name)
}

// upstream is the block that the driver gets for an upstream.
func (s *service) upstream(u *api.ConsulUpstream) (map[string]any, error) {
	if u.DestinationName == "" {
		return nil, s.refuse("an upstream has no destination_name; it names the service that the app is to reach")
	}
	b, err := s.bind(u)
	if err != nil {
		return nil, err
	}
	s.group.bindings = append(s.group.bindings, b)
	block := map[string]any{"destination_name": u.DestinationName}
	put(block, "destination_type", u.DestinationType)
	put(block, "destination_namespace", u.DestinationNamespace)
	put(block, "destination_partition", u.DestinationPartition)
	put(block, "destination_peer", u.DestinationPeer)
	put(block, "datacenter", u.Datacenter)
	put(block, "port", b.label)
	put(block, "local_bind_address", b.address) // whatever address Nomad gives the port on
	put(block, "local_bind_socket_path", u.LocalBindSocketPath)
	put(block, "local_bind_socket_mode", u.LocalBindSocketMode)
	if u.MeshGateway != nil && u.MeshGateway.Mode != "" {
		block["mesh_gateway"] = map[string]any{"mode": u.MeshGateway.Mode}
	}
	config, err := upstreamConfig(u.Config)
	if err != nil {
		return nil, s.refuse("upstream %q: %w", u.DestinationName, err)
	}
	if listener, ok := config["envoy_listener_json"].(string); ok && b.number == 0 && b.label != "" {
		config["envoy_listener_json"] = portValue(u.LocalBindPort).ReplaceAllString(listener, "${1}$"+portVariable(b.label))
	}
	if len(config) > 0 {
		block["config"] = config
	}
	return block, nil
}

// bind finds a place for the upstream that nothing else of the group has.
func (s *service) bind(u *api.ConsulUpstream) (*binding, error) {
	b := &binding{service: s, destination: u.DestinationName, socket: u.LocalBindSocketPath}
	if err := checkBind(u); err != nil {
		return nil, s.refuse("upstream %q: %w", u.DestinationName, err)
	}
	if b.socket == "" {
		b.address = cmp.Or(u.LocalBindAddress, localhost)
		if !s.group.options.DynamicPorts {
			b.number = u.LocalBindPort
		}
	}
	for _, other := range s.group.bindings {
		if b.overlaps(other) {
			return nil, s.refuse("the %s is to be where the %s is already (%s); give one of them another place", b, other, b.place())
		}
	}
	if b.socket == "" {
		return b, s.label(b, u.LocalBindPort)
	}
	return b, nil
}

func checkBind(u *api.ConsulUpstream) error {
	switch socket := u.LocalBindSocketPath; {
	case u.LocalBindPort < 0 || u.LocalBindPort > maxPort:
		return fmt.Errorf("local_bind_port = %d is not a port; it is a number from 1 to %d", u.LocalBindPort, maxPort)
	case socket == "" && u.LocalBindSocketMode != "":
		return errors.New("local_bind_socket_mode goes only with local_bind_socket_path; remove it")
	case socket == "":
		return checkAddress("local_bind_address", u.LocalBindAddress)
	case u.LocalBindPort != 0 || u.LocalBindAddress != "":
		return errors.New("local_bind_socket_path goes neither with local_bind_port nor with local_bind_address; leave one")
	case !path.IsAbs(socket) && !strings.HasPrefix(socket, "${"):
		return fmt.Errorf("local_bind_socket_path = %q is not absolute; ${NOMAD_ALLOC_DIR}/tmp/<name>.sock is a place that every task of the group reaches", socket)
	}
	return nil
}

func (b *binding) place() string {
	if b.socket != "" {
		return b.socket
	}
	return net.JoinHostPort(b.address, strconv.Itoa(b.number))
}

func (b *binding) overlaps(other *binding) bool {
	if b.socket != "" || other.socket != "" {
		return b.socket == other.socket
	}
	return b.number != 0 && b.number == other.number &&
		(b.address == other.address || isAnywhere(b.address) || isAnywhere(other.address))
}

func isAnywhere(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.IsUnspecified()
}

// label finds or makes the port that tells the scheduler of the upstream's.
func (s *service) label(b *binding, number int) error {
	ports := s.group.ports
	if label, ok := s.group.upstreamLabels[number]; ok && !s.group.isBound(label) {
		b.label = label
		return nil
	}
	for _, other := range s.group.bindings {
		if b.number != 0 && b.number == other.number { // on another address
			b.label = other.label
			return nil
		}
	}
	if reserved := ports.static(b.number); b.number != 0 && len(reserved) > 0 {
		b.label = reserved[0].Label
		for _, port := range reserved {
			if who := ports.speaker(port); who != "" {
				return s.refuse("the %s is to be on port %d, which is the group's static port %q already, and %s is there; give one of them another number", b, b.number, port.Label, who)
			}
		}
		return nil
	}
	// Nomad knows the port as a variable under no other name than the label's
	// while it fills in variables; so the label has only what such a name can have.
	b.label = ports.free(upstreamLabel + envName(s.name) + "_" + envName(b.destination))
	ports.add(api.Port{Label: b.label, Value: b.number, HostNetwork: s.group.options.UpstreamNetwork})
	return nil
}

// isBound tells whether an upstream is on the port already.
func (g *group) isBound(label string) bool {
	return slices.ContainsFunc(g.bindings, func(b *binding) bool { return b.label == label })
}
