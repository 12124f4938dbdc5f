package e2e

import "fmt"

// idleApp is a main task that does nothing.
const idleApp = `
    task "app" {
      driver = "raw_exec"
      config {
        command = "sleep"
        args    = ["300"]
      }
      resources {
        cpu    = 20
        memory = 16
      }
    }`

// restartSoon has the tasks of a group back soon; Nomad's own delay is 15 s.
const restartSoon = `
    restart {
      attempts = 10
      interval = "1m"
      delay    = "1s"
      mode     = "fail"
    }`

// proxyTask is a sidecar's task with that config.
func proxyTask(config string) string {
	return fmt.Sprintf(`
    task "proxy" {
      driver = "connect"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      config {
%s
      }
      resources {
        cpu    = 20
        memory = 128
      }
    }`, config)
}
