package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/translate"
)

const controllerName = "sluice.dev/gateway-controller"

// script is a source that says one thing after the other.
type script []func(update func(control.Update))

func (s script) Run(_ context.Context, update func(control.Update)) error {
	for _, step := range s {
		step(update)
	}
	return nil
}

// plane is a data plane that serves all listeners but those it has an error for,
// and takes no delta of the versions that it refuses.
type plane struct {
	mu        sync.Mutex
	applied   []*config.Delta
	failing   map[string]error
	refusing  map[uint64]bool
	version   uint64
	listeners []*config.Listener // of the last delta that had any
}

func (p *plane) Apply(d *config.Delta) config.Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.applied = append(p.applied, d)
	if !p.refusing[d.Version] {
		p.version = d.Version
	}
	if len(d.Listeners) > 0 {
		p.listeners = d.Listeners
	}
	report := config.Report{Version: p.version, Listeners: map[string]error{}}
	for _, l := range p.listeners {
		report.Listeners[l.Name] = p.failing[l.Name]
	}
	return report
}

func (p *plane) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing = nil
}

func class() *gatewayv1.GatewayClass {
	return &gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "sluice"}, Spec: gatewayv1.GatewayClassSpec{ControllerName: controllerName}}
}

func gateway(port gatewayv1.PortNumber) *gatewayv1.Gateway {
	return &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "gw"},
		Spec: gatewayv1.GatewaySpec{
			GatewayClassName: "sluice",
			Listeners:        []gatewayv1.Listener{{Name: "http", Port: port, Protocol: gatewayv1.HTTPProtocolType}},
		},
	}
}

func set(objects ...snapshot.Object) []snapshot.Change {
	var changes []snapshot.Change
	for _, o := range objects {
		changes = append(changes, snapshot.Change{Key: snapshot.KeyOf(o), Object: o})
	}
	return changes
}

func say(u control.Update) func(func(control.Update)) {
	return func(update func(control.Update)) { update(u) }
}

// run takes the source's steps through a Control and returns it with its log.
func run(t *testing.T, p *plane, source script) (*control.Control, string) {
	t.Helper()
	var log bytes.Buffer
	c := control.New(control.Options{
		Translate: translate.Options{ControllerName: controllerName},
		DataPlane: p,
		Log:       slog.New(slog.NewTextHandler(&log, nil)),
		Locate: func(d diagnostic.Diagnostic) diagnostic.Diagnostic {
			d.File, d.Line = "objects.yaml", 7
			return d
		},
	})
	if err := c.Run(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	return c, log.String()
}

func programmed(t *testing.T, s *control.State) metav1.Condition {
	t.Helper()
	for c := range control.Conditions(s.Status(snapshot.KeyOf(gateway(80)))) {
		if c.Part == "listener http" && c.Type == string(gatewayv1.ListenerConditionProgrammed) {
			return c.Condition
		}
	}
	t.Fatal("the listener has no condition Programmed")
	return metav1.Condition{}
}

func TestProgrammedIsWhatTheDataPlaneServes(t *testing.T) {
	p := &plane{failing: map[string]error{"default/gw/http": errors.New("port 80 is in use")}}
	c, log := run(t, p, script{
		say(control.Update{Changes: set(class(), gateway(80))}),
		func(func(control.Update)) { p.mend() },
		say(control.Update{Changes: set(gateway(81))}),
	})
	if got := programmed(t, c.State()); got.Status != metav1.ConditionTrue {
		t.Errorf("Programmed is %+v", got)
	}
	if len(p.applied) != 2 || !p.applied[0].Reset || p.applied[1].Reset {
		t.Errorf("%d deltas were applied", len(p.applied))
	}
	for _, want := range []string{"port 80 is in use", `"Programmed is True"`} {
		if n := strings.Count(log, want); n == 0 {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
}

func TestListenersThatFailAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &plane{failing: map[string]error{"default/gw/http": errors.New("port 80 is in use")}}
		var state *control.State
		c := control.New(control.Options{
			Translate: translate.Options{ControllerName: controllerName},
			DataPlane: p,
			Log:       slog.New(slog.DiscardHandler),
			Applied:   func(s *control.State, _ control.Changed) { state = s },
		})
		err := c.Run(t.Context(), script{
			say(control.Update{Changes: set(class(), gateway(80))}),
			func(func(control.Update)) {
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := programmed(t, c.State()); got.Status != metav1.ConditionFalse {
					t.Errorf("Programmed is %+v", got)
				}
				p.mend()
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := programmed(t, c.State()); got.Status != metav1.ConditionTrue {
					t.Errorf("Programmed is %+v", got)
				}
				if state != c.State() {
					t.Error("nobody was told")
				}
			},
			say(control.Update{Changes: set(gateway(81))}),
		})
		if err != nil {
			t.Fatal(err)
		}
		applied := len(p.applied)
		time.Sleep(time.Minute)
		if len(p.applied) != applied {
			t.Error("it goes on trying after all is well")
		}
	})
}

func TestADataPlaneThatFellBehindGetsEverything(t *testing.T) {
	p := &plane{refusing: map[uint64]bool{2: true}}
	run(t, p, script{
		say(control.Update{Changes: set(class(), gateway(80))}),
		say(control.Update{Changes: set(gateway(81))}),
		say(control.Update{Changes: set(gateway(82))}),
		say(control.Update{Changes: set(gateway(83))}),
	})
	var resets []bool
	for _, d := range p.applied {
		resets = append(resets, d.Reset)
	}
	if want := []bool{true, false, true, false}; !slices.Equal(resets, want) {
		t.Errorf("whole configurations: %v, want %v", resets, want)
	}
}

func TestNothingIsAppliedWhereNothingChanges(t *testing.T) {
	p := &plane{}
	run(t, p, script{
		say(control.Update{Changes: set(class(), gateway(80))}),
		say(control.Update{Changes: set(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "unused"}})}),
	})
	if len(p.applied) != 1 {
		t.Errorf("%d deltas were applied, want 1", len(p.applied))
	}
}

func TestTransitionTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := &plane{}
		c, _ := run(t, p, script{
			say(control.Update{Changes: set(class(), gateway(80))}),
			func(func(control.Update)) { time.Sleep(time.Hour) },
			say(control.Update{Changes: set(gateway(81))}), // true before and after
		})
		if got := programmed(t, c.State()).LastTransitionTime; !got.Time.Equal(start) {
			t.Errorf("the last transition was at %v, want %v", got, start)
		}
		if since := p.applied[1].Version; since != 2 {
			t.Errorf("version %d", since)
		}
	})
}

func TestRefusedObjectsHurtNoOthers(t *testing.T) {
	refused := []diagnostic.Diagnostic{{
		Severity: diagnostic.Error, File: "a.yaml", Line: 3, Message: "spec.rules is no list", Fix: "write a list",
	}}
	c, _ := run(t, &plane{}, script{
		say(control.Update{Changes: set(class(), gateway(80)), Diagnostics: refused}),
		say(control.Update{Changes: set(gateway(81)), Diagnostics: refused}),
	})
	if got := c.State().Diagnostics(); len(got) == 0 || got[0] != refused[0] {
		t.Errorf("diagnostics %v", got)
	}
	if errors, warnings := c.State().Findings(); errors != 1 || warnings != len(c.State().Diagnostics())-1 {
		t.Errorf("%d errors, %d warnings", errors, warnings)
	}
	if got := programmed(t, c.State()); got.Status != metav1.ConditionTrue {
		t.Errorf("Programmed is %+v", got)
	}
}

func TestFindingsAreLoggedOnce(t *testing.T) {
	lonely := "no route is attached"
	_, log := run(t, &plane{}, script{
		say(control.Update{Changes: set(class(), gateway(80))}),
		say(control.Update{Changes: set(gateway(81))}),
	})
	if n := strings.Count(log, lonely); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log)
	}
}

func TestFindingsOfTheTranslationAreLocated(t *testing.T) {
	broken := gateway(80)
	broken.Spec.GatewayClassName = "gone"
	c, log := run(t, &plane{}, script{say(control.Update{Changes: set(class(), broken)})})
	if got := c.State().Diagnostics(); len(got) != 1 || got[0].File != "objects.yaml" || got[0].Line != 7 {
		t.Errorf("diagnostics %+v", got)
	}
	if !strings.Contains(log, "file=objects.yaml line=7") {
		t.Errorf("log:\n%s", log)
	}
}

func TestARemovedObjectIsGone(t *testing.T) {
	c, _ := run(t, &plane{}, script{
		say(control.Update{Changes: set(class(), gateway(80))}),
		say(control.Update{Changes: []snapshot.Change{{Key: snapshot.KeyOf(gateway(80))}}}),
	})
	if !c.State().Status(snapshot.KeyOf(gateway(80))).Empty() {
		t.Error("there is a status of an object that is gone")
	}
	if got := len(c.State().Objects()); got != 1 {
		t.Errorf("%d objects, want the class alone", got)
	}
}

func TestASourceThatFailsEndsTheRun(t *testing.T) {
	c := control.New(control.Options{DataPlane: &plane{}, Log: slog.New(slog.DiscardHandler)})
	want := errors.New("no such file")
	if err := c.Run(t.Context(), failing{want}); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Run(context.Context, func(control.Update)) error { return f.err }

func TestListOfAll(t *testing.T) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "key", Annotations: map[string]string{
			corev1.LastAppliedConfigAnnotation: "hush", "note": "kept",
		}},
		Data:       map[string][]byte{"tls.key": []byte("hush")},
		StringData: map[string]string{"other": "hush"},
	}
	cluster := set(
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "sluice-system", Name: "sluice-1"}},
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "sluice-system", Name: "sluice-1"}},
		&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "gateways.gateway.networking.k8s.io"}},
		&v1alpha1.GatewayParameters{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "small"}},
	)
	c, _ := run(t, &plane{}, script{say(control.Update{Changes: append(set(class(), gateway(80), secret), cluster...)})})
	printed, err := json.Marshal(c.State().List())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"apiVersion":"v1","kind":"List"`, `"apiVersion":"gateway.networking.k8s.io/v1"`, `"kind":"Secret"`, `"tls.key"`, `"note":"kept"`, `"type":"Programmed"`,
		`"kind":"Pod"`, `"apiVersion":"coordination.k8s.io/v1"`, `"apiVersion":"apiextensions.k8s.io/v1"`, `"kind":"GatewayParameters"`,
	} {
		if !bytes.Contains(printed, []byte(want)) {
			t.Errorf("no %s in %s", want, printed)
		}
	}
	if bytes.Contains(printed, []byte("hush")) || bytes.Contains(printed, []byte("aHVzaA")) {
		t.Errorf("a secret is printed: %s", printed)
	}
	if string(secret.Data["tls.key"]) != "hush" {
		t.Error("printing changed the object")
	}

	var read control.List
	if err := json.Unmarshal(printed, &read); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(read)
	if err != nil || !bytes.Equal(again, printed) {
		t.Errorf("%v; the list read and printed again is\n%s\nwant\n%s", err, again, printed)
	}
	if err := json.Unmarshal([]byte(`{"items":[{"kind":"Teapot"}]}`), &read); err == nil {
		t.Error("an unknown kind is read")
	}
}

func TestFine(t *testing.T) {
	for _, c := range []struct {
		conditionType string
		status        metav1.ConditionStatus
		want          bool
	}{
		{"Accepted", "True", true}, {"Accepted", "False", false}, {"Programmed", "Unknown", false},
		{"Conflicted", "False", true}, {"Conflicted", "True", false}, {"PartiallyInvalid", "True", false},
	} {
		got := control.Condition{Condition: metav1.Condition{Type: c.conditionType, Status: c.status}}.Fine()
		if got != c.want {
			t.Errorf("%s %s: fine is %v", c.conditionType, c.status, got)
		}
	}
}

// earlier is a configuration of an earlier run.
func earlier(version uint64) *config.Delta {
	return &config.Delta{Version: version, Reset: true, Listeners: []*config.Listener{
		{Name: "default/old/http", Port: 80, Protocol: config.ProtocolHTTP},
	}}
}

func TestAnEarlierConfigurationIsServedUntilTheSourceSpeaks(t *testing.T) {
	p := &plane{}
	var told []control.Changed
	c := control.New(control.Options{
		Translate: translate.Options{ControllerName: controllerName},
		DataPlane: p,
		Log:       slog.New(slog.DiscardHandler),
		Restored:  earlier(7),
		Applied:   func(_ *control.State, changed control.Changed) { told = append(told, changed) },
	})
	if c.State().Restored() || len(p.applied) != 0 {
		t.Error("it is in force before Run")
	}
	err := c.Run(t.Context(), script{
		func(func(control.Update)) {
			if got := c.State(); !got.Restored() || got.Report.Version != 7 || got.Config().Listeners[0].Name != "default/old/http" {
				t.Errorf("before the source speaks, version %d is in force: %v", got.Report.Version, got.Config())
			}
		},
		say(control.Update{Changes: set(class(), gateway(80))}),
		say(control.Update{Changes: set(gateway(81))}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.State(); got.Restored() || len(got.Config().Listeners) != 1 || got.Config().Listeners[0].Name != "default/gw/http" {
		t.Errorf("after the source has spoken, this is in force:\n%v", got.Config())
	}
	var versions []uint64
	for _, d := range p.applied {
		versions = append(versions, d.Version)
	}
	if want := []uint64{7, 8, 9}; !slices.Equal(versions, want) || !p.applied[1].Reset || p.applied[2].Reset {
		t.Errorf("versions %v, want %v; the second is the whole configuration", versions, want)
	}
	if len(told) != 3 || len(told[0].Statuses) != 0 || !slices.Contains(told[1].Statuses, snapshot.KeyOf(gateway(80))) {
		t.Errorf("told of the changes %v", told)
	}
}

func TestAnEarlierConfigurationThatIsNotTakenHurtsNothing(t *testing.T) {
	p := &plane{refusing: map[uint64]bool{7: true}}
	c := control.New(control.Options{
		Translate: translate.Options{ControllerName: controllerName},
		DataPlane: p,
		Log:       slog.New(slog.DiscardHandler),
		Restored:  earlier(7),
	})
	err := c.Run(t.Context(), script{
		func(func(control.Update)) {
			if got := c.State(); got.Restored() || got.Report.Version != 0 {
				t.Errorf("version %d is in force", got.Report.Version)
			}
		},
		say(control.Update{Changes: set(class(), gateway(80))}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := programmed(t, c.State()); got.Status != metav1.ConditionTrue {
		t.Errorf("Programmed is %+v", got)
	}
}

func TestWhatGatewaysNeedOfTheClusterIsTold(t *testing.T) {
	var told []control.Changed
	c := control.New(control.Options{
		Translate: translate.Options{ControllerName: controllerName, Cluster: &translate.Cluster{}},
		DataPlane: &plane{},
		Log:       slog.New(slog.DiscardHandler),
		Applied:   func(_ *control.State, changed control.Changed) { told = append(told, changed) },
	})
	key := snapshot.KeyOf(gateway(80))
	err := c.Run(t.Context(), script{
		say(control.Update{Changes: set(class(), gateway(80))}),
		func(func(control.Update)) {
			if c.State().View.Wanted(key).Service == nil || !slices.Contains(told[0].Wanted, key) {
				t.Errorf("the Gateway needs %+v, and told was %v", c.State().View.Wanted(key), told)
			}
			c.Refused(key, "the quota is used up")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(told) != 2 || !slices.Contains(told[1].Statuses, key) {
		t.Errorf("told of the changes %v", told)
	}
	said := false
	for condition := range control.Conditions(c.State().Status(key)) {
		said = said || strings.Contains(condition.Message, "the quota is used up")
	}
	if !said {
		t.Errorf("no condition says that the Service is refused: %+v", c.State().Status(key))
	}
}
