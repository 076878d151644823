"""Every metric name and log field."""
