package translate_test

import (
	"encoding/json"
	"fmt"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/translate"
)

// In a cluster, too, the translation is that of the objects, whatever Services
// are there already and whatever the replicas have said so far.
func TestIncrementalEqualsFromScratchInACluster(t *testing.T) {
	for _, hostNetwork := range []bool{false, true} {
		for seed := range uint64(10) {
			t.Run(fmt.Sprintf("hostNetwork=%v/%d", hostNetwork, seed), func(t *testing.T) {
				options := propertyOptions
				options.Cluster = &translate.Cluster{HostNetwork: hostNetwork}
				f := newFollower(options)
				w := world{newRandom(seed), t}
				for step := range 60 {
					changes := w.place(f.translator.View())
					for range 1 + w.IntN(3) {
						changes = append(changes, w.change())
					}
					f.step(t, changes)
					scratch := translate.New(options)
					scratch.Update(f.snapshot, nil)
					if diff := cmp.Diff(wanted(scratch.View()), wanted(f.translator.View())); diff != "" {
						t.Errorf("wanted from scratch (-) and incremental (+) differ:\n%s", diff)
					}
					if t.Failed() {
						t.Fatalf("at step %d, after %v", step, keys(changes))
					}
				}
			})
		}
	}
}

// place puts some of what is wanted into the cluster, and lets replicas say what
// they serve, as it is in the view or as it was before.
func (w world) place(view translate.View) []snapshot.Change {
	var changes []snapshot.Change
	set := func(object snapshot.Object) {
		changes = append(changes, snapshot.Change{Key: snapshot.KeyOf(object), Object: object})
	}
	for _, wanted := range view.AllWanted() {
		if wanted.Service != nil && w.IntN(2) == 0 {
			set(wanted.Service.DeepCopy())
		}
	}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "sluice-system", Name: name, Labels: map[string]string{v1alpha1.LabelReplica: "true"}}
	}
	for _, name := range []string{"one", "two"} {
		if w.IntN(3) == 0 {
			said, err := json.Marshal(view.Serving())
			if err != nil {
				w.t.Fatal(err)
			}
			lease := &coordinationv1.Lease{ObjectMeta: meta(name)}
			lease.Annotations = map[string]string{v1alpha1.AnnotationServing: string(said)}
			set(lease)
		}
		if w.IntN(5) == 0 {
			pod := &corev1.Pod{ObjectMeta: meta(name)}
			pod.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.9"}}
			pod.Status.HostIPs = []corev1.HostIP{{IP: "192.0.2.9"}}
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: pick(w, corev1.ConditionTrue, corev1.ConditionTrue, corev1.ConditionFalse)}}
			set(pod)
		}
	}
	return changes
}

func wanted(view translate.View) map[snapshot.Key]any {
	all := map[snapshot.Key]any{}
	for key, w := range view.AllWanted() {
		all[key] = w
	}
	return all
}
