"""What the layers compute: functions of tensors, without layers or variables."""
