package agents

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// TokenFile is where the operator keeps the token of the plugin.
func (c *Cluster) TokenFile() string { return filepath.Join(c.Dir, "consul.token") }

// Envoy is where the cluster's Envoy is installed.
func (c *Cluster) Envoy() string { return filepath.Join(c.Dir, "bin", "envoy") }

// Tool is the path of a program in the directory of the tools.
func (c *Cluster) Tool(name string) string { return filepath.Join(c.opts.Tools, name) }

// install puts the driver and Envoy where an operator would: the driver into
// plugin_dir, Envoy where every user may execute it.
func (c *Cluster) install() error {
	for _, dir := range []string{"bin", "plugins"} {
		if err := os.Mkdir(filepath.Join(c.Dir, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(c.Dir, 0o755); err != nil {
		return err
	}
	if err := copyFile(c.opts.Plugin, filepath.Join(c.Dir, "plugins", "nomad-driver-connect")); err != nil {
		return err
	}
	if token := c.opts.Consul.Token; token != "" {
		if err := os.WriteFile(c.TokenFile(), []byte(token+"\n"), 0o600); err != nil {
			return err
		}
	}
	if c.opts.NoEnvoy {
		return nil
	}
	return c.InstallEnvoy(filepath.Join(c.opts.Tools, "envoy"))
}

// InstallEnvoy puts a binary in Envoy's place at once, never half of it.
func (c *Cluster) InstallEnvoy(binary string) error {
	partial := c.Envoy() + ".partial"
	if err := copyFile(binary, partial); err != nil {
		return err
	}
	return os.Rename(partial, c.Envoy())
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("%w; is everything built? (make tools build)", err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
