package hook

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/nomad/api"
)

const publicListener = "envoy_public_listener_json"

// listenerNumbers find the ports that a proxy's config has Envoy listen on by their
// number.
var listenerNumbers = map[string]*regexp.Regexp{
	"envoy_prometheus_bind_addr":        regexp.MustCompile(`(.*:)([0-9]+)$`),
	"envoy_stats_bind_addr":             regexp.MustCompile(`(.*:)([0-9]+)$`),
	"envoy_extra_static_listeners_json": regexp.MustCompile(`("port_value"\s*:\s*)([0-9]+)`),
	publicListener:                      regexp.MustCompile(`("port_value"\s*:\s*)([0-9]+)`),
}

// moveListeners puts Envoy's own listeners on ports that Nomad gives. In a network
// of its own every sidecar can have the same number, and on the host one can.
func (s *service) moveListeners() error {
	config := s.proxy().Config
	for _, key := range slices.Sorted(maps.Keys(listenerNumbers)) {
		text, ok := config[key].(string)
		if !ok {
			continue
		}
		pattern := listenerNumbers[key]
		config[key] = pattern.ReplaceAllStringFunc(text, func(place string) string {
			parts := pattern.FindStringSubmatch(place)
			number, err := strconv.Atoi(parts[2])
			if err != nil || number < 1 || number > maxPort {
				return place // Envoy's matter
			}
			return parts[1] + cmp.Or(s.listenerPort(key, number), parts[2])
		})
	}
	return nil
}

// listenerPort is the variable of the port that a listener gets in the place of a
// number; empty when the number stays.
func (s *service) listenerPort(key string, number int) string {
	g := s.group
	if variable, ok := g.moved[number]; ok {
		return variable
	}
	label, mapped := g.ports.to(number)
	switch {
	case len(g.ports.static(number)) > 0:
		return ""
	case key == publicListener && !mapped: // a new port would be none that peers come to
		return ""
	case g.speaksOf(number): // the number is part of what the author says elsewhere
		if !mapped {
			g.reserve(number, appLabel+s.name)
		}
		return ""
	case mapped:
		port, _ := g.ports.get(label)
		port.To = 0
		g.ports.replace(port)
	default:
		label = g.ports.free("connect_listener_" + envName(s.name))
		g.ports.add(api.Port{Label: label})
		s.listenerMoved(key, number, label)
	}
	g.moved[number] = portVariable(label)
	for _, s := range g.services {
		s.paths.follow(number, g.moved[number])
	}
	return g.moved[number]
}

// listenerMoved tells of a number that leads nowhere any more.
func (s *service) listenerMoved(key string, number int, label string) {
	s.group.warnings = append(s.group.warnings, Finding{
		Code: "listener-moved", Group: s.group.name(), Service: s.name, at: "connect/sidecar_service/proxy/config/" + key,
		Problem: fmt.Sprintf("%s is on port %d, which every sidecar can have in a network of its own, and one can on the host network: Envoy listens on the new port %q instead", key, number, label),
		WayOut:  fmt.Sprintf("give the group port \"metrics\" { to = %d }, which is then Envoy's, or { static = %d }", number, number),
	})
}

// portValue finds a port in Envoy's own JSON.
func portValue(number int) *regexp.Regexp {
	return regexp.MustCompile(fmt.Sprintf(`("port_value"\s*:\s*)%d\b`, number))
}

// portVariable is what Nomad fills in for a port in a task's config.
func portVariable(label string) string { return "${NOMAD_PORT_" + envName(label) + "}" }

// speaksOf tells whether the author has written the number anywhere else in the
// group than where Envoy is to listen: then somebody goes by it.
func (g *group) speaksOf(number int) bool {
	if g.words == nil {
		g.words = words(g.withoutListeners())
	}
	return g.words[strconv.Itoa(number)] || g.jobWords()[strconv.Itoa(number)]
}

// withoutListeners is all of the group, besides the job's meta, that may speak of a port by its number.
func (g *group) withoutListeners() []any {
	said := []any{g.Meta}
	for _, s := range g.Services {
		service := *s
		service.Connect = nil
		said = append(said, service)
	}
	for _, s := range g.services {
		config := maps.Clone(s.proxy().Config)
		maps.DeleteFunc(config, func(key string, _ any) bool { return listenerNumbers[key] != nil })
		said = append(said, config, s.Connect.SidecarTask, s.Connect.SidecarService.Meta, s.Connect.SidecarService.Tags)
	}
	for _, t := range g.Tasks {
		said = append(said, t.Config, t.Env, t.Meta, t.Services, t.Templates)
	}
	return said
}

var numbers = regexp.MustCompile(`[0-9]+`)

// words are the numbers in all texts of a value.
func words(value any) map[string]bool {
	found := map[string]bool{}
	text, err := json.Marshal(value)
	if err != nil { // of nothing that came from JSON
		return found
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			return found
		}
		switch token.(type) {
		case string, json.Number:
			for _, number := range numbers.FindAllString(fmt.Sprint(token), -1) {
				found[strings.TrimLeft(number, "0")] = true
			}
		}
	}
}
