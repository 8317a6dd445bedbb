//go:build linux

package main

import (
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	for name, test := range map[string]struct {
		args  string
		want  string // in the error; empty when there is none
		check func(request) bool
	}{
		"up by itself": {args: "up", check: func(r request) bool { return r.nodes == 1 && r.crds && r.sluice && r.name == "default" }},
		"up with all": {args: "up --name b --nodes 2 --image x --image y --crds=false --sluice=false", check: func(r request) bool {
			return r.nodes == 2 && !r.crds && !r.sluice && len(r.images) == 2 && r.name == "b"
		}},
		"run keeps the command's flags": {args: "run --nodes 2 -- go test -count=1", check: func(r request) bool { return slices.Equal(r.args, []string{"go", "test", "-count=1"}) }},
		"exec":                          {args: "exec -- kubectl get pods", check: func(r request) bool { return len(r.args) == 3 }},
		"load":                          {args: "load a.tar b.tar", check: func(r request) bool { return len(r.args) == 2 }},
		"nothing":                       {args: "", want: "help"},
		"unknown command":               {args: "down", want: `no command "down"`},
		"unknown flag":                  {args: "exec --nodes 2 -- x", want: "-nodes"},
		"no command to run":             {args: "run", want: "needs a command"},
		"no image to load":              {args: "load", want: "needs a tar"},
		"up with a command":             {args: "up kubectl", want: "use run"},
		"too many nodes":                {args: "up --nodes 10", want: "1 to 9"},
		"no node":                       {args: "up --nodes 0", want: "1 to 9"},
		"a name that is a path":         {args: "up --name ../x", want: "--name"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := parse(strings.Fields(test.args), io.Discard)
			if test.want == "" && (err != nil || !test.check(r)) {
				t.Errorf("%+v, %v", r, err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// testService is a Service with an address, or with a wish for one.
func testService(address, wanted string) service {
	var s service
	if address != "" {
		s.Status.LoadBalancer.Ingress = []ingress{{address}}
	}
	s.Spec.LoadBalancerIP = wanted
	return s
}

func TestLoadBalancerAddresses(t *testing.T) {
	others := testService("", "")
	others.Spec.LoadBalancerClass = "example.com/other"
	var all []service
	for range 101 {
		all = append(all, testService("", ""))
	}
	for name, test := range map[string]struct {
		services []service
		want     map[int]string
	}{
		"the first free one":                 {[]service{testService("172.31.0.100", ""), testService("", "")}, map[int]string{1: "172.31.0.101"}},
		"two get two":                        {[]service{testService("", ""), testService("", "")}, map[int]string{0: "172.31.0.100", 1: "172.31.0.101"}},
		"what a Service has, it keeps":       {[]service{testService("172.31.0.150", "")}, map[int]string{}},
		"one asked for":                      {[]service{testService("", usableAddress)}, map[int]string{0: usableAddress}},
		"one asked for later":                {[]service{testService("172.31.0.100", usableAddress)}, map[int]string{0: usableAddress}},
		"asked for by two, given to one":     {[]service{testService("", usableAddress), testService("", usableAddress)}, map[int]string{0: usableAddress}},
		"outside the range, none":            {[]service{testService("", unusableAddress)}, map[int]string{}},
		"no address at all, none":            {[]service{testService("", "example.com")}, map[int]string{}},
		"a Service of another load balancer": {[]service{others}, map[int]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := assign(test.services); !maps.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	if got := assign(all); len(got) != 100 || got[99] != usableAddress {
		t.Errorf("101 Services got %d addresses, the last %s; want 100, the last %s", len(got), got[99], usableAddress)
	}
}

func TestHierarchiesOfCgroups(t *testing.T) {
	const v1 = `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 /slice /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory
34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
35 31 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw`
	const v2 = `30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate`
	for name, test := range map[string]struct {
		mounts, own, version string
		want                 []hierarchy
	}{
		"v1, beside an empty v2": {v1, "3:name=systemd:/\n2:cpu,cpuacct:/user\n1:memory:/slice/mine\n0::/\n", "1", []hierarchy{
			{"/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/user", "cpu,cpuacct"},
			{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/mine", "memory"},
			{"/sys/fs/cgroup/systemd", "/sys/fs/cgroup/systemd", "none,name=systemd"},
		}},
		"v2": {v2, "0::/user.slice/mine\n", "2", []hierarchy{{"/sys/fs/cgroup", "/sys/fs/cgroup/user.slice/mine", ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			version, found, err := parseHierarchies(test.mounts, test.own)
			if err != nil || version != test.version || !slices.Equal(found, test.want) {
				t.Errorf("version %s, %+v, %v", version, found, err)
			}
		})
	}
	if _, _, err := parseHierarchies("", ""); err == nil {
		t.Error("a machine without cgroups is no error")
	}
}

// TestSweep removes what a killed cluster left, and leaves alone what lives.
func TestSweep(t *testing.T) {
	left := func(t *testing.T) (string, state) {
		folder := t.TempDir()
		s := state{Temp: filepath.Join(folder, tempPrefix+"x-1"), Cgroups: cgroups{Folders: []string{filepath.Join(folder, "cgroup")}}}
		for _, path := range []string{s.Temp, filepath.Join(s.Cgroups.Folders[0], "kubepods/pod")} {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		content, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, "states", "x.json")
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path, s
	}
	exists := func(path string) bool { _, err := os.Stat(path); return err == nil }

	t.Run("of a killed cluster", func(t *testing.T) {
		path, s := left(t)
		if err := sweep(path); err != nil {
			t.Fatal(err)
		}
		for _, gone := range []string{path, s.Temp, s.Cgroups.Folders[0]} {
			if exists(gone) {
				t.Errorf("%s is still there", gone)
			}
		}
	})
	t.Run("of one that lives", func(t *testing.T) {
		path, s := left(t)
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if locked(file) {
			t.Fatal("locked by another")
		}
		if err := sweep(path); err != nil {
			t.Fatal(err)
		}
		if !exists(path) || !exists(s.Temp) || !exists(s.Cgroups.Folders[0]) {
			t.Error("something of a cluster that lives is gone")
		}
	})
	t.Run("never a folder of another name", func(t *testing.T) {
		folder := t.TempDir()
		precious := filepath.Join(folder, "precious")
		if err := os.Mkdir(precious, 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(folder, "x.json")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := (state{Temp: precious}).remove(file); err != nil || !exists(precious) {
			t.Errorf("%v; the folder exists: %v", err, exists(precious))
		}
	})
}

func TestBuildsAreKeptByWhatTheyAreBuiltFrom(t *testing.T) {
	module := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(module, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "require k8s.io/kubernetes v1.37.2\n")
	write("go.sum", "")
	write("main.go", "package main\n")
	first, version, err := fingerprint(module)
	if err != nil || !slices.Equal(version[1:], []string{"1.37.2", "1", "37"}) {
		t.Fatalf("%v, %v", version, err)
	}
	seen := map[string]bool{first: true}
	for name, content := range map[string]string{"main.go": "package main // x\n", "go.sum": "x", "more.go": "package main\n"} {
		write(name, content)
		key, _, err := fingerprint(module)
		if err != nil || seen[key] {
			t.Errorf("after a change of %s the key is %s again, %v", name, key, err)
		}
		seen[key] = true
	}
	write("go.mod", "module x\n")
	if _, _, err := fingerprint(module); err == nil {
		t.Error("a module without Kubernetes has a key")
	}
}
