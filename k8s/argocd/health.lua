-- KafkaConnector and KafkaConnect of coracle.dev. The conditions mean what Kubernetes' conventions say, so that this reads
-- like kstatus; a connector that is paused or stopped on purpose is Suspended.
local function condition(type)
  for _, found in ipairs(obj.status and obj.status.conditions or {}) do
    if found.type == type then return found end
  end
  return {status = "Unknown"}
end

local function health(status, found, otherwise)
  local message = found.message
  if message == nil or message == "" then message = found.reason or otherwise end
  return {status = status, message = message}
end

local ready, stalled, reconciling = condition("Ready"), condition("Stalled"), condition("Reconciling")
local observed = obj.status and obj.status.observedGeneration or 0

if observed < (obj.metadata.generation or 0) then
  return {status = "Progressing", message = "Waiting for the operator"}
elseif stalled.status == "True" then
  return health("Degraded", stalled, "Stalled")
elseif reconciling.status == "True" then
  return health("Progressing", reconciling, "Reconciling")
elseif ready.status == "False" then
  return health("Degraded", ready, "Not ready")
elseif obj.spec.state == "paused" or obj.spec.state == "stopped" or obj.spec.pause == true then
  return {status = "Suspended", message = "Set to " .. (obj.spec.state or "paused")}
elseif ready.status == "True" then
  return health("Healthy", ready, "Ready")
end
return {status = "Progressing", message = "Waiting for the operator"}
