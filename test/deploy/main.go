// Command deploy renders the installation in a cluster from its Helm chart,
// which is the one source of it.
//
//	go -C test/deploy run . render [--release NAME] [--namespace NAME] [--values FILE]… [--set PATH=VALUE]… | kubectl apply --server-side -f -
//	go -C test/deploy run . generate
//
// Render prints all manifests: the namespace, Sluice's own
// CustomResourceDefinitions, and what the chart makes of the values. Files are
// found from test/deploy. Generate writes what is committed of that: the chart's
// copy of the definitions, and deploy/kustomize/base. The tests hold the chart
// to Helm's linter, to the types of Kubernetes, to the standards for Pods and to
// the rights that Sluice needs.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// repository is the repository's folder, seen from this one.
const repository = "../.."

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "deploy:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch command {
	case "render":
		return render(args, out)
	case "generate":
		return generate()
	}
	return errors.New("say render or generate")
}

func render(args []string, out io.Writer) error {
	i := installation{namespace: defaultNamespace}
	flags := flag.NewFlagSet("render", flag.ContinueOnError)
	flags.StringVar(&i.release, "release", defaultRelease, "the `name` of the installation")
	flags.StringVar(&i.namespace, "namespace", i.namespace, "the `namespace` to install into")
	flags.Func("values", "a `file` with values; may be repeated, and the last one wins", i.addFile)
	flags.Func("set", "a value as `PATH=VALUE`; may be repeated", i.addValue)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s is no flag", flags.Arg(0))
	}
	rendered, err := i.render()
	if err != nil {
		return err
	}
	for _, manifest := range []string{rendered.namespace, rendered.definitions, rendered.objects} {
		if _, err := io.WriteString(out, manifest); err != nil {
			return err
		}
	}
	return nil
}
