{{/* The queues of a pool as a regular expression of Prometheus, without their weights; all without any. */}}
{{- define "taskmill.queuePattern" -}}
{{- $names := list -}}
{{- range .queues -}}{{- $names = append $names (regexReplaceAll "=.*$" . "" | regexQuoteMeta) -}}{{- end -}}
{{- $names | join "|" | default ".*" -}}
{{- end -}}

{{/* The longest wait for a pool. The metrics are those of the whole system: the same from each process, so max and not sum.
A queue beyond those that have series of their own shares "_other"; one that is not there has nobody who waits: 0. Without
figures of PostgreSQL the result is empty, which is no number, and must not take pods away. */}}
{{- define "taskmill.longestWait" -}}
{{- $own := list -}}
{{- range $name, $value := .keda.labels -}}{{- $own = append $own (printf "%s=`%s`" $name $value) -}}{{- end -}}
{{- $queues := printf "queue=~`%s`" (include "taskmill.queuePattern" .) -}}
max(taskmill_queue_oldest_due_seconds{ {{- append $own $queues | join "," -}} }) or max(taskmill_queue_oldest_due_seconds{ {{- append $own "queue=`_other`" | join "," -}} }) or 0 * max(taskmill_system_up{ {{- $own | join "," -}} } == 1)
{{- end -}}

{{- define "taskmill.scaledObject" -}}
{{- $keda := .values.keda -}}
{{- if $keda.enabled -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ include "taskmill.fullname" .root }}-{{ .component }}
  labels:
    {{- include "taskmill.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  scaleTargetRef:
    name: {{ include "taskmill.fullname" .root }}-{{ .component }}
  minReplicaCount: {{ $keda.minReplicas }}
  maxReplicaCount: {{ $keda.maxReplicas }}
  pollingInterval: {{ $keda.pollingInterval }}
  cooldownPeriod: {{ $keda.cooldownSeconds }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown:
          stabilizationWindowSeconds: {{ $keda.cooldownSeconds }}
          policies: [{type: Pods, value: 1, periodSeconds: 60}]
  triggers:
    - type: prometheus
      # Value, not AverageValue: pods are added for as long as tasks wait for longer, whatever their number.
      metricType: Value
      metadata:
        serverAddress: {{ required (printf "keda.prometheusAddress of %s" .component) $keda.prometheusAddress | quote }}
        query: {{ include "taskmill.longestWait" .values | quote }}
        # Nothing is an error, not 0.
        ignoreNullValues: "false"
        threshold: {{ $keda.targetWaitSeconds | quote }}
{{- end -}}
{{- end -}}
