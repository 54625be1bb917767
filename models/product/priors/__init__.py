"""What is known before the network looks: linear models and neighbours."""
