"""The cluster's addresses.

They are from ranges set aside for documentation and benchmarks (RFC 5737, RFC 2544), and exist
inside the cluster's network namespace only.
"""

NODE = "203.0.113.1"
NODE_NAME = "node"
PODS = "198.18.0.0/24"
POD_GATEWAY = "198.18.0.1"
SERVICES = "198.19.0.0/24"
API_SERVICE = "198.19.0.1"
"""The service `kubernetes`: always the first address of the services' range."""
DOMAIN = "cluster.local"
