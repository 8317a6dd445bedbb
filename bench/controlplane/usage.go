package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// ofReplicas selects Sluice's Pods, and the Leases in which they say what they serve.
const ofReplicas = "sluice.dev/replica=true"

// podUsage is what a Pod takes.
type podUsage struct {
	at                    time.Time
	cpu                   time.Duration
	anonymous, workingSet size
	// resident is what of the program is in memory, its file included.
	resident size
}

// usage is what Sluice's Pods take, by name.
type usage map[string]podUsage

// largest is the most that any Pod takes of each.
func (u usage) largest() (most podUsage) {
	for _, pod := range u {
		most.anonymous = max(most.anonymous, pod.anonymous)
		most.workingSet = max(most.workingSet, pod.workingSet)
		most.resident = max(most.resident, pod.resident)
	}
	return most
}

// since is the time of processors that all Pods together took by time.
func (u usage) since(before usage) (all cores) {
	for name, pod := range u {
		if was, ok := before[name]; ok && pod.at.After(was.at) {
			all += cores(pod.cpu-was.cpu) / cores(pod.at.Sub(was.at))
		}
	}
	return all
}

// replicas are Sluice's Pods that are to stay.
func (b *bench) replicas(ctx context.Context) ([]corev1.Pod, error) {
	pods, err := b.core.CoreV1().Pods(b.installation).List(ctx, metav1.ListOptions{LabelSelector: ofReplicas})
	if err != nil {
		return nil, err
	}
	staying := slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
	if len(staying) == 0 {
		return nil, fmt.Errorf("no Pod of Sluice is in namespace %s", b.installation)
	}
	return staying, nil
}

// usage asks the kubelets until what they say is no older than the question: they
// count every ten seconds or so.
func (b *bench) usage(ctx context.Context) (usage, error) {
	asked := time.Now()
	u := usage{}
	err := wait.PollUntilContextTimeout(ctx, time.Second, time.Minute, true, func(ctx context.Context) (bool, error) {
		pods, err := b.replicas(ctx)
		if err != nil {
			return false, err
		}
		for _, pod := range pods {
			if u[pod.Name], err = b.podUsage(ctx, pod); err != nil || u[pod.Name].at.Before(asked) {
				return false, err
			}
		}
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("what Sluice's Pods take: %w", err)
	}
	return u, nil
}

// watchUsage calls for the usage again and again until stop, which returns the
// largest of all.
func (b *bench) watchUsage(ctx context.Context) (stop func() podUsage) {
	ctx, cancel := context.WithCancel(ctx)
	all := usage{}
	var watching sync.WaitGroup
	watching.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if u, err := b.usage(ctx); err == nil {
				all[strconv.Itoa(i)] = u.largest()
			}
		}
	})
	return func() podUsage { cancel(); watching.Wait(); return all.largest() }
}

// summary is the part of the kubelet's /stats/summary that is read.
type summary struct {
	Pods []struct {
		PodRef     struct{ Name, Namespace string }
		Containers []struct {
			CPU struct {
				Time                 time.Time
				UsageCoreNanoSeconds int64
			}
			Memory struct{ WorkingSetBytes, RSSBytes size }
		}
	}
}

// podUsage is none, at no time, as long as the kubelet does not know the Pod.
func (b *bench) podUsage(ctx context.Context, pod corev1.Pod) (podUsage, error) {
	core := b.core.CoreV1().RESTClient()
	body, err := core.Get().Resource("nodes").Name(pod.Spec.NodeName).SubResource("proxy").Suffix("stats/summary").DoRaw(ctx)
	if err != nil {
		return podUsage{}, err
	}
	var s summary
	if err := json.Unmarshal(body, &s); err != nil {
		return podUsage{}, err
	}
	for _, p := range s.Pods {
		if p.PodRef.Namespace != pod.Namespace || p.PodRef.Name != pod.Name || len(p.Containers) != 1 {
			continue
		}
		c := p.Containers[0]
		metrics, err := core.Get().Namespace(pod.Namespace).Resource("pods").Name(pod.Name + ":9902").SubResource("proxy").Suffix("metrics").DoRaw(ctx)
		return podUsage{
			at: c.CPU.Time, cpu: time.Duration(c.CPU.UsageCoreNanoSeconds),
			anonymous: c.Memory.RSSBytes, workingSet: c.Memory.WorkingSetBytes,
			resident: size(metric(metrics, "process_resident_memory_bytes")),
		}, err
	}
	return podUsage{}, nil
}

// metric is the value of a metric without labels, 0 if there is none.
func metric(text []byte, name string) float64 {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, _ := strconv.ParseFloat(value, 64)
			return v
		}
	}
	return 0
}
