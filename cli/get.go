package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicegateway/sluice/control"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/file"
	"github.com/sluicegateway/sluice/control/status"
	"github.com/sluicegateway/sluice/control/translate"
)

// resource is what can be asked for: objects of some kinds, and their table.
type resource struct {
	name  string
	kinds []snapshot.Kind
	table func(io.Writer, []snapshot.Object) error
	// apart says that a kind can be asked for by its own name.
	apart bool
}

var resources = []resource{
	{"gateways", []snapshot.Kind{snapshot.KindGateway, snapshot.KindListenerSet}, gatewayTable, false},
	{"routes", []snapshot.Kind{
		snapshot.KindHTTPRoute, snapshot.KindGRPCRoute, snapshot.KindTLSRoute, snapshot.KindTCPRoute, snapshot.KindUDPRoute,
	}, routeTable, true},
	{"backends", []snapshot.Kind{
		snapshot.KindService, snapshot.KindEndpointSlice, snapshot.KindBackend, snapshot.KindXBackend,
	}, backendTable, false},
	{"policies", []snapshot.Kind{snapshot.KindClientPolicy, snapshot.KindBackendTLSPolicy}, policyTable, true},
}

func getCommand() *cobra.Command {
	var options translate.Options
	var address string
	output := oneOf("table", "yaml", "json")
	c := &cobra.Command{
		Use:   "get [gateways|routes|backends|policies|all] [PATH…]",
		Short: "Show objects with what became of them",
		Long: `Get shows the objects of the gateway that is running, or of the PATHs without
serving them. As yaml or json it prints a Kubernetes List of the objects with
their statuses; what Secrets hold is never shown. What was refused is told on
standard error. Routes and policies of one kind have its name, such as grpcroutes.`,
		Example: `  sluice get routes
  sluice get gateways -o yaml examples/quickstart`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			wanted, paths := getArguments(args)
			if len(paths) == len(args) && len(paths) > 0 && !exists(paths[0]) {
				return usageError{fmt.Errorf("%q is neither gateways, routes, backends, policies or all, nor a path that exists", paths[0])}
			}
			list, err := listObjects(c, paths, options, address)
			if err != nil {
				return err
			}
			printRefusals(c.ErrOrStderr(), list)
			if output.value == "table" {
				return printTables(c.OutOrStdout(), wanted, list.Objects)
			}
			if wanted != nil {
				list.Objects = ofKinds(list.Objects, wanted.kinds)
			}
			return printAs(c.OutOrStdout(), output.value, control.List{Objects: list.Objects})
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault // paths
			}
			return []string{"gateways", "routes", "backends", "policies", "all"}, cobra.ShellCompDirectiveDefault
		},
	}
	addTranslateFlags(c, &options)
	addAdminFlag(c, &address)
	c.Flags().VarP(output, "output", "o", "how to print: table, yaml or json")
	return c
}

// getArguments splits the arguments into the resource, nil for all, and paths.
func getArguments(args []string) (*resource, []string) {
	if len(args) == 0 {
		return nil, nil
	}
	for i := range resources {
		if r := resources[i].named(args[0]); r != nil {
			return r, args[1:]
		}
	}
	if args[0] == "all" {
		args = args[1:]
	}
	return nil, args
}

// named is the resource, or one kind of it, if that is its name; else nil.
func (r *resource) named(name string) *resource {
	name = singular(name)
	if name == singular(r.name) {
		return r
	}
	for _, kind := range r.kinds {
		if r.apart && name == strings.ToLower(string(kind)) {
			return &resource{name: r.name, kinds: []snapshot.Kind{kind}, table: r.table}
		}
	}
	return nil
}

// singular is "policy" of "policies", and "route" of "routes".
func singular(name string) string {
	if stem, ok := strings.CutSuffix(name, "ies"); ok {
		return stem + "y"
	}
	return strings.TrimSuffix(name, "s")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return path == file.Stdin || !errors.Is(err, fs.ErrNotExist)
}

func listObjects(c *cobra.Command, paths []string, o translate.Options, address string) (control.List, error) {
	if len(paths) == 0 {
		var list control.List
		return list, askAdmin(c.Context(), address, "/status", nil, &list)
	}
	state, err := offline(c, paths, o)
	if err != nil {
		return control.List{}, err
	}
	return state.List(), nil
}

func ofKinds(objects []snapshot.Object, kinds []snapshot.Kind) []snapshot.Object {
	var found []snapshot.Object
	for _, object := range objects {
		if slices.Contains(kinds, snapshot.KindOf(object)) {
			found = append(found, object)
		}
	}
	return found
}

// printRefusals prints the errors that no condition tells, and what else there is
// to say of the objects that they are about: that another version than the
// newest is in force.
func printRefusals(w io.Writer, list control.List) {
	told := troubled(list.Objects)
	refused := map[snapshot.Key]bool{{}: true} // what is about no object is about a whole file
	for _, d := range list.Diagnostics {
		if d.Severity == diagnostic.Error && !told[d.Object] {
			refused[d.Object] = true
		}
	}
	for _, d := range list.Diagnostics {
		if d.Severity != diagnostic.Warning && refused[d.Object] {
			fmt.Fprint(w, findingText(d))
		}
	}
}

// troubled are the objects with a condition that is not fine.
func troubled(objects []snapshot.Object) map[snapshot.Key]bool {
	all := map[snapshot.Key]bool{}
	for _, object := range objects {
		for c := range control.Conditions(status.Of(object)) {
			if !c.Fine() {
				all[snapshot.KeyOf(object)] = true
			}
		}
	}
	return all
}

// printTables prints the table of the resource, or all of them.
func printTables(w io.Writer, wanted *resource, objects []snapshot.Object) error {
	if wanted != nil {
		return wanted.table(w, ofKinds(objects, wanted.kinds))
	}
	for i := range resources {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := resources[i].table(w, ofKinds(objects, resources[i].kinds)); err != nil {
			return err
		}
	}
	return nil
}
