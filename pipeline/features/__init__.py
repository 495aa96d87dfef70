"""What is known of cached features."""
