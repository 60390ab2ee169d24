"""What the demo and ``linesight watch`` add to the service: broker, picture, subscriber, view."""
