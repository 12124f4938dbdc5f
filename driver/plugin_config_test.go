package driver

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/envoy"
)

func TestPluginConfig_spread(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"": 5 * time.Minute, "0s": 0, "90s": 90 * time.Second} {
		d, never, err := PluginConfig{HotRestart: &HotRestartConfig{Spread: text}}.spread()
		must.NoError(t, err)
		must.False(t, never)
		must.Eq(t, want, d, must.Sprint(text))
	}
	d, never, err := PluginConfig{}.spread()
	must.NoError(t, err)
	must.False(t, never)
	must.Eq(t, 5*time.Minute, d)
	_, never, err = PluginConfig{HotRestart: &HotRestartConfig{Spread: "never"}}.spread()
	must.NoError(t, err)
	must.True(t, never)
	for _, text := range []string{"-1s", "soon", "5"} {
		config := PluginConfig{HotRestart: &HotRestartConfig{Spread: text}}
		_, _, err := config.spread()
		must.ErrorContains(t, err, `nor "never"`)
		must.ErrorContains(t, config.validate(), "hot_restart.spread")
	}
}

func TestPluginConfig_confine(t *testing.T) {
	t.Parallel()
	must.Eq(t, envoy.ConfineAuto, PluginConfig{}.confine())
	for _, text := range envoy.Confines() {
		config := PluginConfig{Confine: text}
		must.Eq(t, envoy.Confine(text), config.confine())
		must.NoError(t, config.validate())
	}
	must.ErrorContains(t, PluginConfig{Confine: "yes"}.validate(), `confine: "yes" is unknown; it is one of auto, required, off`)
}
