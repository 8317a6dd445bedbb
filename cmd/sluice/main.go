// Sluice is an HTTP gateway that is configured with the Kubernetes Gateway API.
package main

import (
	"os"

	"github.com/sluicegateway/sluice/cli"
)

func main() { os.Exit(cli.Main()) }
