package driver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"

	"nomad-driver-connect/process"
)

// machine is the one that the plugin runs on. A Consul agent may have sidecars of
// several.
type machine struct {
	host string // the same through all its boots; empty when it is not known
	boot string // empty when it is not known
}

// machineIDFile holds an ID that machine-id(5) wants kept secret.
const machineIDFile = "/etc/machine-id"

// thisMachine asks the system. An answer that it does not give stays empty, and nothing
// is concluded from that.
func thisMachine() machine {
	boot, _ := process.BootID()
	raw, _ := os.ReadFile(machineIDFile)
	name, _ := os.Hostname()
	return machine{host: hostOf(string(raw), name), boot: boot}
}

// hostOf is made of the machine's ID with a key of our own, as machine-id(5) advises,
// since everybody in the mesh can read it. Machines without an ID (there is no such
// file, or it says "uninitialized") have their name.
func hostOf(machineID, name string) string {
	id, err := hex.DecodeString(strings.TrimSpace(machineID))
	if err != nil || len(id) != 16 {
		return name
	}
	mac := hmac.New(sha256.New, id)
	mac.Write([]byte("nomad-driver-connect"))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
