{{/* The prefix of the names: at most 40 characters, so that every suffix fits into a label's 63. */}}
{{- define "coracle.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The names of cluster-wide objects hold the namespace too: two releases may share a cluster. */}}
{{- define "coracle.clustername" -}}
{{- printf "%s-%s" (include "coracle.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "coracle.image" -}}
{{- with .Values.image -}}
{{- .repository -}}{{- if .digest -}}@{{ .digest }}{{- else -}}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels of an object: (dict "root" $ "component" "operator") */}}
{{- define "coracle.labels" -}}
{{ include "coracle.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | quote }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "coracle.selector" -}}
app.kubernetes.io/name: coracle
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* What every pod of ours has: (dict "root" $ "values" .Values.operator "component" "operator") */}}
{{- define "coracle.pod" -}}
serviceAccountName: {{ include "coracle.fullname" .root }}-{{ .component }}
# Variables such as CORACLE_OPERATOR_PORT, which Kubernetes makes of a Service's name, would be taken for settings.
enableServiceLinks: false
# Linux keeps a signal without a handler from a process 1, and so a pod that is deleted while its Python still starts would
# run until it is killed. Here, 1 is Kubernetes' own.
shareProcessNamespace: true
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- include "coracle.podSecurity" . | nindent 2 }}
{{- end -}}

{{/* Pod Security Standards, level "restricted". */}}
{{- define "coracle.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "coracle.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}
